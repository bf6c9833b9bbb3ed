"""Secrets in the places people leave them, each with what must be gone."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

from leak import Leak
from leaked_tokens import blocks, vendor_tokens
from made_up import ALNUM, BASE64, HEX, URLSAFE, MadeUp


def leaks(seed: int = 7) -> list[Leak]:
    made = MadeUp(seed)
    return [
        *vendor_tokens(made),
        *blocks(made),
        *_headers(made),
        *_addresses(made),
        *_assignments(made),
        *_commands(made),
        *_prose(made),
    ]


def _headers(made: MadeUp) -> Iterator[Leak]:
    bearer = made.of(URLSAFE, 30) + "." + made.of(ALNUM, 8) + "~" + made.of(ALNUM, 4) + "/+" + "=="
    yield Leak(
        "bearer-header", f"Authorization: Bearer {bearer}\r\nAccept: */*", bearer, "Accept: */*"
    )
    short = made.of(ALNUM, 12)
    yield Leak("bearer-short", f"authorization: bearer {short}", short)
    yield Leak(
        "bearer-curl",
        f'curl -H "Authorization: Bearer {bearer}" https://a.example/x',
        bearer,
        "https://a.example/x",
    )
    yield Leak(
        "bearer-prose", f"it worked with bearer {short} but not without", short, "but not without"
    )
    yield Leak(
        "bearer-json", json.dumps({"headers": {"Authorization": f"Bearer {bearer}"}}), bearer
    )
    yield Leak(
        "bearer-escaped", json.dumps(json.dumps({"Authorization": f"Bearer {short}"})), short
    )
    yield Leak("bearer-python", f"headers={{'Authorization': 'Bearer {short}'}}", short)
    sanctum = f"12|{made.of(ALNUM, 40)}"
    yield Leak("bearer-sanctum", f"Authorization: Bearer {sanctum}", sanctum)
    for weak in ("abc.def", "abcdef", "mysecrettoken", "Abc123", "0123456789"):
        yield Leak(f"bearer-weak-{weak}", f"curl -H 'Authorization: Bearer {weak}' x", weak, "' x")
    pair = base64.b64encode(f"admin:{made.password()}".encode()).decode()
    yield Leak("basic-header", f"Authorization: Basic {pair}", pair)
    yield Leak("basic-prose", f"send Basic {pair} as the value", pair, "as the value")
    digits = made.of(HEX, 40)
    yield Leak("token-scheme", f"Authorization: token {digits}", digits)
    raw = made.of(ALNUM, 32)
    yield Leak("authorization-raw", f'"authorization": "{raw}"', raw)
    yield Leak("proxy-authorization", f"Proxy-Authorization: Basic {pair}", pair)
    signed = made.of(HEX, 64)
    yield Leak(
        "sigv4",
        f"Authorization: AWS4-HMAC-SHA256 Credential=X/2026, Signature={signed}",
        signed,
    )
    for name in (
        "X-Api-Key",
        "x-auth-token",
        "X-Vault-Token",
        "PRIVATE-TOKEN",
        "Api-Key",
        "X-Goog-Api-Key",
    ):
        value = made.of(ALNUM, 28)
        yield Leak(f"header-{name}", f"{name}: {value}\nHost: a.example", value, "Host: a.example")
    session = made.of(ALNUM, 32)
    yield Leak("cookie", f"Cookie: theme=dark; sessionid={session}; lang=de", session, "theme=dark")
    yield Leak(
        "set-cookie",
        f"Set-Cookie: connect.sid=s%3A{session}; Path=/; HttpOnly",
        session,
        "HttpOnly",
    )
    yield Leak("cookie-alone", f"document.cookie had JSESSIONID={session} in it", session)
    signature = made.of(ALNUM, 41) + "%3D"
    yield Leak(
        "azure-sas",
        f"https://a.blob.core.windows.net/c/f?sv=2022&se=2026-01-01&sig={signature}",
        signature,
        "sv=2022",
    )
    yield Leak(
        "aws-presigned",
        f"https://b.s3.amazonaws.com/k?X-Amz-Date=20260101T000000Z&X-Amz-Signature={signed}",
        signed,
        "X-Amz-Date",
    )
    yield Leak(
        "gcs-presigned",
        f"https://storage.googleapis.com/b/k?X-Goog-Signature={signed}{signed}",
        signed,
    )
    account = made.of(BASE64, 86) + "=="
    yield Leak(
        "azure-storage",
        f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={account};EndpointSuffix=core.windows.net",
        account,
        "AccountName=acme",
    )
    bus = made.of(BASE64, 43) + "="
    yield Leak(
        "azure-bus",
        f"Endpoint=sb://acme.example/;SharedAccessKeyName=root;SharedAccessKey={bus}",
        bus,
        "SharedAccessKeyName=root",
    )


def _addresses(made: MadeUp) -> Iterator[Leak]:
    for scheme in (
        "postgres",
        "postgresql+asyncpg",
        "mysql",
        "mongodb+srv",
        "amqp",
        "amqps",
        "redis",
        "ftp",
        "ldap",
        "smtp",
    ):
        word = made.password()
        yield Leak(
            f"url-{scheme}",
            f"{scheme}://app:{word}@db.example.com:5432/main?x=1",
            word,
            "@db.example.com:5432/main?x=1",
        )
    word = made.password()
    yield Leak(
        "url-redis-nameless", f"REDIS_URL=redis://:{word}@10.0.0.5:6379/0", word, "10.0.0.5:6379/0"
    )
    yield Leak(
        "url-https",
        f"git clone https://bob:{word}@git.example.com/a/b.git",
        word,
        "git.example.com/a/b.git",
    )
    odd = f"p@{made.password()}/#1"
    yield Leak(
        "url-odd-signs", f"postgres://app:{odd}@db.example.com/main", odd, "db.example.com/main"
    )
    yield Leak("url-weak", "mysql://root:toor99@127.0.0.1/shop", "toor99", "127.0.0.1/shop")
    token = made.of(ALNUM, 40)
    yield Leak(
        "url-token-user", f"pip install --index-url https://{token}@pkgs.example.com/simple", token
    )
    yield Leak(
        "url-token-pair", f"https://x-access-token:{token}@github.com/a/b", token, "github.com/a/b"
    )
    yield Leak(
        "jdbc",
        f"jdbc:mysql://db:3306/shop?user=app&password={word}&useSSL=true",
        word,
        "useSSL=true",
    )
    yield Leak("jdbc-oracle", f"jdbc:oracle:thin:scott/{word}@//db:1521/x", word)
    yield Leak(
        "ado",
        f"Server=db;Database=shop;User Id=app;Password={word};Encrypt=True;",
        word,
        "Encrypt=True",
    )
    yield Leak("ado-pwd", f"Driver={{ODBC}};Uid=app;Pwd={word};", word)
    yield Leak("dsn", f"host=db user=app password={word} dbname=shop", word, "dbname=shop")
    yield Leak("query-token", f"wss://a.example/socket?access_token={token}&v=2", token, "v=2")
    dsn = made.of(HEX, 32)
    yield Leak("sentry", f"dsn=https://{dsn}@o1.ingest.sentry.io/2", dsn, "o1.ingest.sentry.io/2")


def _assignments(made: MadeUp) -> Iterator[Leak]:
    forms = (
        "password={}",
        "PASSWORD={}",
        "DB_PASSWORD={}",
        "export PGPASSWORD={}",
        "password: {}",
        "  passwd: {}\n  user: x",
        "password = '{}'",
        'password = "{}"',
        'password: str = "{}"',
        '"password": "{}"',
        '{{"user": "a", "password": "{}", "n": 1}}',
        '{{\\"password\\": \\"{}\\"}}',
        "'passwd': '{}',",
        "$password = '{}';",
        'const dbPassword = "{}";',
        "spring.datasource.password={}",
        'password := "{}"',
        "<password>{}</password>",
        "--password {}",
        "--password={}",
        "--db-password '{}'",
        "set DB_PASS={}",
        "ENV ADMIN_PASSWORD={}",
        "pwd={};",
        "**Password:** {}",
        "- **Password**: `{}`",
        "passphrase: {}",
        'login(password="{}")',
        "password => '{}'",
        "os.environ['DB_PASSWORD'] = '{}'",
        'user.setPassword("{}")',
        "MYSQL_ROOT_PASSWORD: {}",
        "POSTGRES_PASSWORD='{}'",
        "| password | {} |",
    )
    for number, form in enumerate(forms):
        word = made.password()
        yield Leak(
            f"password-{number}", f"first line\n{form.format(word)}\nlast line", word, "last line"
        )
    names = (
        "api_key={}",
        "API_KEY={}",
        "apiKey: '{}'",
        '"apiKey": "{}"',
        "api-key: {}",
        "secret={}",
        "client_secret: {}",
        "CLIENT_SECRET='{}'",
        "token={}",
        "token: {}",
        'auth_token = "{}"',
        "access_token={}",
        '"refresh_token":"{}"',
        "SECRET_KEY = '{}'",
        "JWT_SECRET={}",
        "secretKeyBase: {}",
        "aws_secret_access_key = {}",
        "TWILIO_AUTH_TOKEN={}",
        "CF_API_TOKEN={}",
        "encryption_key: {}",
        "--api-key {}",
        "--token={}",
        "API key: {}",
        "npm_config__authToken={}",
        "//registry.npmjs.org/:_authToken={}",
        "- name: API_TOKEN\n  value: {}",
        '{{"name": "API_TOKEN", "value": "{}"}}',
        '<add key="ApiKey" value="{}" />',
        "os.getenv('API_TOKEN', '{}')",
        "credentials: {}",
    )
    for number, form in enumerate(names):
        token = made.of(ALNUM, 24)
        yield Leak(
            f"token-{number}", f"first line\n{form.format(token)}\nlast line", token, "last line"
        )
    for weak in (
        "hunter2",
        "letmein",
        "Sommer2024",
        "P@ssw0rd!",
        "swordfish",
        "qwerty123",
        "secret",
    ):
        yield Leak(f"weak-env-{weak}", f"DB_PASSWORD={weak}\nDB_HOST=x", weak, "DB_HOST=x")
        yield Leak(f"weak-yaml-{weak}", f"user: app\npassword: {weak}\nport: 1", weak, "port: 1")
        yield Leak(f"weak-json-{weak}", f'{{"password": "{weak}"}}', weak)
    yield Leak("passphrase", 'passphrase = "correct horse battery staple"', "horse battery")
    block = made.password()
    yield Leak("yaml-block", f"password: |\n  {block}\nuser: a", block, "user: a")


def _commands(made: MadeUp) -> Iterator[Leak]:
    forms = (
        "curl -u bob:{} https://a.example/x",
        "curl --user 'bob:{}' https://a.example",
        "mysql -u root -p{} shop",
        "mysql -uroot -p'{}' shop",
        "mysqldump --password={} shop",
        "sshpass -p {} ssh bob@host",
        "sshpass -p '{}' ssh host",
        "redis-cli -h cache -a {} ping",
        "docker login -u bob -p {} registry.example",
        "openssl rsa -in k.pem -passin pass:{}",
        "machine a.example login bob password {}",
        "machine a.example\n  login bob\n  password {}",
        "db.example.com:5432:shop:app:{}",
        "CREATE USER app WITH PASSWORD '{}';",
        "ALTER USER app IDENTIFIED BY '{}';",
        "PGPASSWORD={} psql -h db",
        "kubectl create secret generic x --from-literal=password={}",
        "echo '{}' | docker login --password-stdin",
        "echo bob:{} | chpasswd",
        "requirepass {}",
        "http -a x --auth-type basic password=={}",
        "docker run -e DB_PASSWORD={} app",
        "wget --password={} https://a.example",
    )
    for number, form in enumerate(forms):
        word = made.password().replace("!", "x")
        yield Leak(f"command-{number}", f"$ {form.format(word)}\nok", word, "ok")
    auth = base64.b64encode(f"bob:{made.password()}".encode()).decode()
    yield Leak(
        "docker-config", f'{{"auths": {{"r.example": {{"auth": "{auth}"}}}}}}', auth, "r.example"
    )


def _prose(made: MadeUp) -> Iterator[Leak]:
    forms = (
        "the password is {} by the way",
        "My password is: {}",
        "Password for bob is {} until Friday",
        "we changed the admin password to {} today",
        "api key is {}",
        "use token: {} for now",
        "login: bob / password: {}",
        "(password: {})",
        "pw: {}",
    )
    for number, form in enumerate(forms):
        word = made.of(ALNUM, 12)
        yield Leak(f"prose-{number}", form.format(word), word)
