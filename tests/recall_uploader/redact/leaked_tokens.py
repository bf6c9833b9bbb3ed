"""Secrets that are told by their own form: tokens of vendors, and private keys."""

from __future__ import annotations

import json
from collections.abc import Iterator

from leak import Leak
from made_up import ALNUM, BASE64, DIGITS, HEX, UPPER, URLSAFE, MadeUp

# Name, prefix, length and alphabet of the rest.
_VENDORS: tuple[tuple[str, str, int, str], ...] = (
    ("aws-akia", "AK" + "IA", 16, UPPER),
    ("aws-asia", "AS" + "IA", 16, UPPER),
    ("github-classic", "gh" + "p_", 36, ALNUM),
    ("github-oauth", "gh" + "o_", 36, ALNUM),
    ("github-user", "gh" + "u_", 36, ALNUM),
    ("github-server", "gh" + "s_", 36, ALNUM),
    ("github-refresh", "gh" + "r_", 76, ALNUM),
    ("github-fine-grained", "github" + "_pat_", 82, ALNUM + "_"),
    ("gitlab-personal", "gl" + "pat-", 20, URLSAFE),
    ("gitlab-runner", "gl" + "rt-", 20, URLSAFE),
    ("gitlab-deploy", "gl" + "dt-", 20, URLSAFE),
    ("slack-bot", "xo" + "xb-", 48, DIGITS),
    ("slack-user", "xo" + "xp-", 60, ALNUM),
    ("slack-app", "xa" + "pp-1-", 60, ALNUM),
    ("stripe-live", "sk_" + "live_", 24, ALNUM),
    ("stripe-test", "sk_" + "test_", 24, ALNUM),
    ("stripe-restricted", "rk_" + "live_", 99, ALNUM),
    ("stripe-webhook", "wh" + "sec_", 32, ALNUM),
    ("openai", "s" + "k-", 48, ALNUM),
    ("openai-project", "s" + "k-proj-", 120, URLSAFE),
    ("openai-service", "s" + "k-svcacct-", 80, URLSAFE),
    ("anthropic", "s" + "k-ant-api03-", 93, URLSAFE),
    ("anthropic-oauth", "s" + "k-ant-oat01-", 93, URLSAFE),
    ("openrouter", "s" + "k-or-v1-", 64, HEX),
    ("google-api", "AI" + "za", 35, URLSAFE),
    ("google-client-secret", "GO" + "CSPX-", 28, URLSAFE),
    ("google-access", "ya" + "29.", 120, URLSAFE),
    ("npm", "np" + "m_", 36, ALNUM),
    ("pypi", "py" + "pi-AgEIcHlwaS5vcmc", 150, URLSAFE),
    ("huggingface", "h" + "f_", 34, ALNUM),
    ("sendgrid", "S" + "G.", 22, URLSAFE),
    ("twilio-key", "S" + "K", 32, HEX),
    ("digitalocean", "do" + "p_v1_", 64, HEX),
    ("shopify", "sh" + "pat_", 32, HEX),
    ("mailgun", "ke" + "y-", 32, HEX),
    ("square", "sq" + "0atp-", 22, URLSAFE),
    ("databricks", "da" + "pi", 32, HEX),
    ("vault", "hv" + "s.", 90, URLSAFE),
    ("groq", "gs" + "k_", 52, ALNUM),
    ("xai", "xa" + "i-", 80, ALNUM),
    ("replicate", "r" + "8_", 37, ALNUM),
    ("linear", "lin" + "_api_", 40, ALNUM),
    ("notion", "nt" + "n_", 46, ALNUM),
    ("grafana", "gl" + "sa_", 41, ALNUM + "_"),
    ("planetscale", "pscale" + "_tkn_", 43, URLSAFE),
    ("docker", "dckr" + "_pat_", 27, URLSAFE),
    ("tailscale", "ts" + "key-auth-", 40, ALNUM),
    ("age", "AGE-SECRET" + "-KEY-1", 58, UPPER),
    ("postman", "PM" + "AK-", 59, HEX + "-"),
    ("supabase", "sb" + "p_", 40, HEX),
)
_AROUND = (
    "I exported {} in the shell and the deploy went through",
    "key: {}\nregion: eu-central-1",
    '{{"content": "use {} for the staging bucket"}}',
    "curl https://api.example.com/v1/models?limit=3 -H 'X-Key: {}'",
    "the log says\\n{}\\nand then it stops",
    "({}), rotated last week",
)


def vendor_tokens(made: MadeUp) -> Iterator[Leak]:
    for number, (name, prefix, length, alphabet) in enumerate(_VENDORS):
        token = made.token(prefix, length, alphabet)
        if name == "sendgrid":
            token += "." + made.of(URLSAFE, 43)
        yield Leak(name, _AROUND[number % len(_AROUND)].format(token), token)
    telegram = f"{made.of(DIGITS, 10)}:A" + "A" + made.of(URLSAFE, 33)
    yield Leak("telegram", f"bot token is {telegram}, chat id 4711", telegram, "chat id 4711")
    discord = f"M{made.of(ALNUM, 23)}.{made.of(ALNUM, 6)}.{made.of(URLSAFE, 38)}"
    yield Leak("discord", f"client.run('{discord}')", discord)
    azure = f"{made.of(ALNUM, 3)}8Q" + "~" + made.of(URLSAFE, 34)
    yield Leak("azure-client-secret", f"created secret value {azure} for the app", azure)
    mailchimp = made.of(HEX, 32) + "-us" + "19"
    yield Leak("mailchimp", f"mailchimp: {mailchimp}", mailchimp)
    jwt = made.jwt()
    yield Leak("jwt", f"cookie holds {jwt} since login", jwt, "since login")
    short = made.jwt(claims=3)
    yield Leak("jwt-short", f"decoded {short}", short)
    unsigned = made.jwt().rpartition(".")[0]
    yield Leak("jwt-cut", f"header and payload only: {unsigned}", unsigned)
    secret = made.of(BASE64, 40)
    key = made.token("AK" + "IA", 16, UPPER)
    yield Leak("aws-pair", f"{key},{secret}", secret)
    yield Leak("aws-console", f"Secret access key: {secret}\nregion eu-west-1", secret, "eu-west-1")
    yield Leak("aws-json", json.dumps({"SecretAccessKey": secret}), secret)
    session = "IQ" + "oJ" + made.of(BASE64, 300)
    yield Leak("aws-session", f"the session token was {session}", session)
    path = f"T{made.of(UPPER, 8)}/B{made.of(UPPER, 8)}/{made.of(ALNUM, 24)}"
    yield Leak("slack-hook", "posts to https://hooks.sl" + f"ack.com/services/{path} daily", path)
    hook = made.of(URLSAFE, 68)
    yield Leak(
        "discord-hook", "https://disc" + f"ord.com/api/webhooks/1{made.of(DIGITS, 17)}/{hook}", hook
    )


def blocks(made: MadeUp) -> Iterator[Leak]:
    for kind in ("RSA ", "EC ", "DSA ", "OPENSSH ", "", "ENCRYPTED "):
        block = made.pem(kind)
        yield Leak(
            f"pem-{kind.strip() or 'pkcs8'}",
            f"key file:\n{block}\nthat was it",
            block,
            "that was it",
        )
    edge = "-" * 5
    body = "\n".join(made.key_lines())
    name = "PGP PRIVATE KEY BLOCK"
    head, foot = f"{edge}BEGIN {name}{edge}\nVersion: GnuPG v2\n", f"{edge}END {name}{edge}"
    pgp = f"{head}\n{body}\n=aB3d\n{foot}"
    yield Leak("pgp", f"gpg --export-secret-keys\n{pgp}\n$ ", pgp)
    crlf = made.pem(end="\r\n")
    yield Leak("pem-crlf", crlf, crlf)
    escaped = made.pem(end="\\n")
    yield Leak("pem-escaped", f'{{"private_key": "{escaped}\\n"}}', escaped)
    twice = made.pem(end="\\\\n")
    yield Leak("pem-escaped-twice", f'"{{\\"private_key\\": \\"{twice}\\"}}"', twice)
    indented = made.pem(lead="    ")
    yield Leak("pem-indented", "data:\n" + indented, indented)
    mail = made.pem(lead="> ")
    yield Leak("pem-quoted-mail", "On Monday you wrote:\n" + mail, mail[2:])
    diff = made.pem(lead="+")
    yield Leak("pem-diff", "+++ b/key.pem\n" + diff, diff[1:])
    cut = made.pem().rpartition("\n")[0]
    yield Leak(
        "pem-cut", f"{cut}\n\nThe rest scrolled away, see above.", cut, "The rest scrolled away"
    )
    middle = made.pem()[:200]
    yield Leak("pem-cut-inside", middle, middle[40:])
    tail = made.pem().partition("\n")[2]
    yield Leak("pem-tail", f"it ends with\n{tail}", tail.partition("\n")[0], "it ends with")
    one_line = made.pem(end=" ")
    yield Leak("pem-one-line", f"KEY='{one_line}'", one_line)
    headed = made.pem().replace(
        "KEY-----\n",
        f"KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,{made.of(HEX, 32)}\n\n",
        1,
    )
    yield Leak("pem-headed", headed, headed)
    code = " \\\n".join(f'"{line}\\n"' for line in made.pem().split("\n"))
    yield Leak("pem-in-code", f"key = {code}", code[1:-4])
    lines = made.key_lines()
    head = "PuTTY-User-Key-" + "File-3: ssh-rsa\nEncryption: none\nComment: work"
    body = f"Public-Lines: 1\n{lines[0]}\nPrivate-Lines: 2\n{lines[1]}\n{lines[2]}"
    putty = f"{head}\n{body}\nPrivate-MAC: {made.of(HEX, 64)}"
    yield Leak("putty", f"saved\n{putty}\ndone", lines[1], "done")
