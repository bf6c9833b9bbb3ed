"""Credentials of HTTP: authorization headers, bearer tokens in prose, cookies, signed URLs."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from recall_uploader.redact.placeholders import is_placeholder, is_strong
from recall_uploader.redact.rule import Rule, Span, in_word, places, words

_VALUE = r"[^\s\"'`<>,;\\(){}\[\]]"
_AUTHORIZATION = re.compile(
    r"authorization\\*[\"'`]?\]?\*{0,2}[ \t]{0,4}(?::|=>?|,|\()"
    r"[ \t]{0,4}\*{0,2}(?:[bfru]?\\*[\"'`])?[ \t]{0,4}"
    rf"(?:(?P<scheme>[a-z][a-z0-9\-]{{1,20}})[ \t:]{{1,4}})?(?P<secret>{_VALUE}+)"
    r"(?P<rest>[^\r\n\"'`\\]{0,2000})",
    re.IGNORECASE | re.ASCII,
)
_BEARER = re.compile(
    r"\bbearer(?:[ \t]token)?(?:[ \t]{0,4}[:=][ \t]{0,4}|[ \t]{1,4}|%20|\+)\\*[\"'`]?"
    rf"(?P<secret>{_VALUE}+)",
    re.IGNORECASE | re.ASCII,
)
_BASIC = re.compile(
    r"\bbasic[ \t]{1,4}(?P<secret>[A-Za-z0-9+/]{8,}+={0,2})", re.IGNORECASE | re.ASCII
)
_DOTTED = re.compile(r"[\w\-]{2,}(?:\.[\w\-]{2,}){2,4}", re.ASCII)
_SCHEMES = words(
    "bearer basic token apikey api-key digest negotiate ntlm key hmac jwt dpop splunk genie"
)
_SIGNED_PARTS = re.compile(
    r"(?:signature|response|credential|mac|nonce)=\"?([A-Za-z0-9+/=%._\-]{16,})", re.IGNORECASE
)
_COOKIE = re.compile(
    r"cookie\\*[\"'`]?[ \t]{0,4}[:=][ \t]{0,4}\\*[\"'`]?(?P<pairs>[^\r\n\"'`\\]{3,8000})",
    re.IGNORECASE | re.ASCII,
)
_COOKIE_PAIR = re.compile(r"([\w.\-]{1,80})=([^;\s,]{6,})")
_COOKIE_ATTRIBUTES = words("path domain expires max-age samesite version priority")
# Names of cookies that are known to carry a session, wherever they are written: their ends.
_SESSION = (
    r"(?:sess(?:ion)?[_\-.]?(?:id|token|key|data)?|(?<![a-z])sid|laravel_session|remember_token"
    r"|_gh_sess|csrftoken|xsrf-token|__(?:secure|host)-[a-z\d_.\-]{1,40})"
    r"=(?P<secret>[A-Za-z0-9%._\-+/:]{16,})"
)
_SIGNED = (
    r"(?<=[?&;\"' ])sig=(?P<secret>[A-Za-z0-9%/+_\-]{20,}={0,2})"
    r"|-signature(?:=|%3d)(?P<secret_amz>[0-9a-f]{32,})"
    r"|-security-token(?:=|%3d)(?P<secret_token>[A-Za-z0-9%/+=_\-]{16,})"
    r"|(?<=[?&])(?:signature|hmac)=(?P<secret_other>[A-Za-z0-9%/+_\-~]{16,}={0,2})"
    r"|(?:accountkey|sharedaccesskey|sharedaccesssignature|accesskey)="
    r"(?P<secret_azure>[A-Za-z0-9+/%]{16,}={0,2})"
    r"|(?:(?<=[?&])(?:code|auth|key|apikey|token)|(?<=_)token|(?<=api_)key)=(?P<secret_query>[A-Za-z0-9%._~\-]{16,})"
)
_SIGNED_ANCHORS = (
    *("sig=", "-signature", "-security-token", "signature=", "hmac=", "accountkey=", "code="),
    *("sharedaccesskey=", "sharedaccesssignature=", "accesskey=", "token=", "auth=", "apikey="),
    "key=",
)


def _at(expression: re.Pattern[str], text: str, lowered: str, word: str) -> Iterator[re.Match[str]]:
    done = 0
    for place in places(lowered, word):
        if place >= done and (match := expression.match(text, place)):
            done = match.end()
            yield match


def _find_authorization(text: str, lowered: str) -> Iterator[Span]:
    for match in _at(_AUTHORIZATION, text, lowered, "authorization"):
        scheme, value = (match["scheme"] or "").lower(), match["secret"]
        known = scheme in _SCHEMES or scheme.startswith("aws4")
        if "=" in match["rest"] or scheme.startswith(("aws4", "digest", "hmac")):
            parts = _SIGNED_PARTS.finditer(text, match.start("secret"), match.end())
            yield from (part.span(1) for part in parts)
        real = len(value) >= 4 and not _reads_on(match, value) if known else is_strong(value, 10)
        if real and not is_placeholder(value):
            yield _trimmed(match)


def _reads_on(match: re.Match[str], value: str) -> bool:
    """`Authorization: Bearer token in the header`: a sentence, no header."""
    return value.isalpha() and len(value) < 20 and match["rest"].lstrip(" ,.").strip() != ""


def _find_bearer(text: str, lowered: str) -> Iterator[Span]:
    for match in _at(_BEARER, text, lowered, "bearer"):
        value = match["secret"].rstrip(".,:;!?")
        if value.endswith("=") and text[match.end() : match.end() + 1] == '"':
            continue  # WWW-Authenticate: Bearer realm="…"
        if (is_strong(value) or _DOTTED.fullmatch(value)) and not is_placeholder(value):
            yield _trimmed(match)


def _trimmed(match: re.Match[str]) -> Span:
    start, end = match.span("secret")
    return start, end - len(match["secret"]) + len(match["secret"].rstrip(".,:;!?"))


def _find_basic(text: str, lowered: str) -> Iterator[Span]:
    for match in _at(_BASIC, text, lowered, "basic"):
        if _is_pair(match["secret"]):
            yield match.span("secret")


def _is_pair(encoded: str) -> bool:
    """Whether it is base64 of `user:password`."""
    bare = encoded.rstrip("=")[:2000]
    try:
        decoded = base64.b64decode(bare + "=" * (-len(bare) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return False
    return ":" in decoded and decoded.isprintable()


def _find_cookies(text: str, lowered: str) -> Iterator[Span]:
    for match in _at(_COOKIE, text, lowered, "cookie"):
        for pair in _COOKIE_PAIR.finditer(text, *match.span("pairs")):
            if pair[1].lower() not in _COOKIE_ATTRIBUTES and is_strong(pair[2], 10):
                yield pair.span(2)


HEADER_RULES: tuple[Rule, ...] = (
    Rule("authorization", _find_authorization, ("authorization",)),
    Rule("bearer", _find_bearer, ("bearer",)),
    Rule("basic-auth", _find_basic, ("basic",)),
    Rule("cookie", _find_cookies, ("cookie",)),
    in_word(
        "session-cookie",
        ("sess", "sid=", "remember_token=", "csrftoken=", "xsrf-token=", "__secure-", "__host-"),
        _SESSION,
        looks=(
            r"sess[a-z_.\-]{0,14}=",
            r"(?:sid|laravel_session|remember_token|_gh_sess|csrftoken|xsrf-token)=",
            r"__(?:secure|host)-",
        ),
    ),
    in_word("signature", _SIGNED_ANCHORS, _SIGNED, accept=lambda value: is_strong(value, 10)),
)
