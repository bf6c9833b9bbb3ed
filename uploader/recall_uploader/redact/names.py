"""Which names promise a secret: `DB_PASSWORD` does, `password_hash` and `max_tokens` do not."""

from __future__ import annotations

import re
from enum import Enum

from recall_uploader.redact.rule import words

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PASS = ("password", "passwd", "passwort", "passphrase", "passcode", "pwd", "pword")
_TOKEN = ("secret", "token", "credential", "credentials", "apikey", "accesskey", "secretkey")
_ALONE = {"pass": "pass", "pw": "pass", "auth": "token", "sig": "token"}
# Words before `key` that make it one. The second set also names keys of other trades.
_KEY_OWNERS = words(
    """api access private account auth encryption signing master shared service storage admin app
    client deploy subscription consumer application integration webhook hmac jwt aes crypto
    decryption ssh pgp secret"""
)
_HINT_OWNERS = words("primary secondary function host session license write read")
# A name that goes on with one of these speaks about the secret, not of it.
_ABOUT = words(
    """hash hashes hashed digest name names id ids count counts length len size type types url uri
    urls path paths file files filename dir field fields policy ttl expiry expires expiration
    expired exp limit limits max min age format regex pattern rule rules strength history version
    source class manager provider store service endpoint header param params parameter prefix
    suffix label
    hint reset required enabled disabled ref refs reference kind usage used budget rate
    window ratio cost price per status state valid validator verified error errors message
    attempts retries timeout interval column table index iterator stream at by for from in on is
    arn algorithm alg salt location scope scopes issuer audience method mode engine app title
    placeholder description set changed updated created rotated last lifetime duration days
    strategy handler callback helper util utils test tests case spec"""
)
_STILL = words(
    """prod production dev development staging stage test live value default base64 b64 old new
    current primary secondary string text raw plain key env local ci root admin user main backup
    confirmation confirm again access a b c"""
)
# `page_token`, `pad_token`: words of other trades.
_OTHER = words(
    """max min num n total count next page prev previous continuation sync pad eos bos unk sep cls
    mask stop special start end image text input output prompt completion reasoning cached public
    per sub word byte subword new_line current_page cancellation cancel lexer parser keyword
    first last avg mean average"""
)


class Promise(Enum):
    """What a name promises: `PASS` any value, `TOKEN` one made by a machine, `HINT` maybe one."""

    PASS = "pass"
    TOKEN = "token"
    HINT = "hint"


def promise(name: str) -> Promise | None:
    """What the value of a setting, column, header or variable of that name is."""
    parts = [part.lower() for part in _PARTS.findall(name)]
    for place in range(len(parts) - 1, -1, -1):
        found = _kind(parts, place)
        if found is not None:
            return _judged(found, parts[:place], [p for p in parts[place + 1 :] if not p.isdigit()])
    return None


def _kind(parts: list[str], place: int) -> Promise | None:
    part = _one(parts[place])
    if part.endswith(_PASS):
        return Promise.PASS
    if part.endswith(_TOKEN):
        return Promise.TOKEN
    if part in ("key", "keys") and place and parts[place - 1] in _KEY_OWNERS:
        return Promise.TOKEN
    if part in ("key", "keys") and place and parts[place - 1] in _HINT_OWNERS:
        return Promise.HINT
    alone = _ALONE.get(part)
    return None if alone is None else (Promise.PASS if alone == "pass" else Promise.HINT)


def _one(part: str) -> str:
    """`passwords` names what `password` names."""
    single = part[:-1] if part.endswith("s") else part
    return single if single.endswith((*_PASS, *_TOKEN)) else part


def _judged(found: Promise, before: list[str], after: list[str]) -> Promise | None:
    if any(part in _ABOUT for part in after):
        return None
    if found is not Promise.PASS and before and before[-1] in _OTHER:
        return None
    if any(part not in _STILL for part in after):
        return Promise.HINT
    return found
