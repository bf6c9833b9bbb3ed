"""Which values stand where a secret would, and are none: placeholders, variables, types, words."""

from __future__ import annotations

import re

from recall_uploader.redact.rule import MARKER, words

_TEMPLATE = re.compile(
    r"""
    <[^<>\n]{0,80}>? | \$\{?\{?[A-Za-z_(\[{][^\n]{0,200} | \$\d?\Z | \{\{?[^{}\n]{0,80}\}?\}?
    | %[sdvq]\Z | %\([A-Za-z_]+\)s | %[A-Za-z_]+% | \#\{[^}\n]{0,80}\}? | @[A-Za-z_]+@ | @[A-Z_]{3,}
    | \[[^\]\n]{0,40}\] | [*•.…_\-x?#=X]+ | [0x]+ | (?:xx+|XX+|\*\*+|\.\.+|…).{0,12}
    | [A-Za-z0-9_\-]{0,12}(?:\*{3,}|x{5,}|X{5,}|\.{3,}|…+)[A-Za-z0-9]{0,4}
    | (?:your|my|the|an?|some|insert|enter|put|replace|add|paste|set|change|fake|dummy|example
       |sample|todo|tbd|redacted|masked|hidden|secret|removed|omitted)
      (?:[-_. ](?:[a-z]+|here|goes|api|key|token|password|secret|\d))+
    | (?:env|vault|secret|ref|file|op|aws|gcp|awssm|ssm|keyring|doppler|bws|enc)[:\[(].{0,400}
    | arn:aws.{0,400} | !(?:vault|secret|env|Ref|Sub|GetAtt)\b.{0,200} | \|-? | >-?
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
# Words that follow the name of a secret without being one: types, states, labels, verbs.
_WORDS = words(
    """
    str string text bytes bool boolean int integer number float object any char varchar secretstr
    optional union list dict map array null none nil undefined nan true false yes no on off void
    required missing invalid valid incorrect wrong expired empty unset hidden masked redacted input
    field fields prompt ask default unknown disabled enabled provided supplied omitted denied
    accepted rejected rotated revoked changed updated reset forgot forgotten protected hashed
    encrypted encoded plain plaintext stored generated random auto automatic manual present absent
    found set not is are was and or the a an for from in with must should may can will to of at by
    as be it this that self cls your my our please enter type todo tbd fixme n/a na
    changeme change-me change_me changeit placeholder example sample dummy foo bar baz qux
    password passwd passwords secrets token tokens credential credentials key keys auth
    bearer basic oauth oauth2 jwt saml ldap oidc none_provided args kwargs config settings env
    environment file value values name names public private static final const let var def return
    new async await function class import export async flag flags option options argument header
    headers body query param params cookie cookies session user username admin_password
    """
)
_PATH = re.compile(r"(?:~|\.{1,2}|[A-Za-z]:)?[/\\][\w.\-@]*(?:[/\\][\w.\-@]*)*", re.ASCII)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.\-]{1,20}://[^\s]*", re.IGNORECASE | re.ASCII)
# What only code holds: calls, subscripts, attributes, template fields.
_CODE = re.compile(
    r"[A-Za-z_]\w*(?:(?:::|->|\.|\?\.)[A-Za-z_]\w*)*(?:\(|\[).{0,400}"
    r"|(?:self|this|cls|settings|config|conf|cfg|env|args|opts|options|params|request|req|res|"
    r"response|data|body|form|user|process|os|ctx|context|props|state|values?|secrets?|var|local|"
    r"module|event|vars|inputs|github|steps|session|client|cls|row|record|item|obj|account)"
    r"(?:(?:::|->|\.|\?\.)[A-Za-z_]\w*)+"
    r"|[A-Za-z_]\w*(?:(?:::|->|\?\.)[A-Za-z_]\w*)+|&?(?:mut )?[A-Za-z_]\w*!?\(.{0,400}"
    r"|[|&;].*|=>?.*|lambda\b.*",
    re.ASCII | re.DOTALL,
)
_ATTRIBUTE = re.compile(r"[a-z_]\w*(?:\.[A-Za-z_]\w*)+", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z_]*\d?", re.ASCII)
_PROSE = re.compile(
    r"\b(?:your|the|must|enter|is|are|not|for|with|please|required|invalid|and|or|an?|to|of|"
    r"should|will|can|cannot|has|have|this|that|here|new|confirm|forgot|reset|show|hide)\b",
    re.IGNORECASE,
)


def is_placeholder(value: str) -> bool:
    """Whether the value says of itself that it is none."""
    bare = value.strip()
    return (
        not bare
        or MARKER.fullmatch(bare) is not None
        or bare.lower() in _WORDS
        or _TEMPLATE.fullmatch(bare) is not None
        or (_PATH.fullmatch(bare) is not None and not has_digit_and_upper(bare))
        or _ADDRESS.fullmatch(bare) is not None
    )


def is_code(value: str) -> bool:
    """Whether an unquoted value is an expression rather than a literal."""
    return _CODE.fullmatch(value) is not None or (
        _ATTRIBUTE.fullmatch(value) is not None and not any(map(str.isdigit, value))
    )


def is_variable(value: str) -> bool:
    """Whether an unquoted value could be a variable's name."""
    return _VARIABLE.fullmatch(value) is not None


def is_prose(value: str) -> bool:
    return " " in value and _PROSE.search(value) is not None


def is_strong(value: str, length: int = 6) -> bool:
    """Whether a value looks made by a machine or for one: letters and digits or signs, mixed."""
    if len(value) < length or " " in value:
        return False
    letters = any(map(str.isalpha, value))
    digits = any(map(str.isdigit, value))
    if letters and digits:
        return _NO_SECRET.fullmatch(value) is None
    signs = sum(not (sign.isalnum() or sign in "-_./:,'") for sign in value)
    if letters and signs and not value.isidentifier():
        return True
    return len(value) >= 20 and value.isalnum() and (letters or length <= 6)


def is_made(value: str) -> bool:
    """Long and mixed, and neither a digest nor a UUID: a secret even where its name only hints."""
    return is_strong(value, 12) and _DIGEST.fullmatch(value) is None


def has_digit_and_upper(value: str) -> bool:
    return any(map(str.isdigit, value)) and any(map(str.isupper, value)) and len(value) >= 30


_DIGEST = re.compile(r"(?:0x)?[0-9a-fA-F\-]{16,}", re.ASCII)
# Mixed, and yet no secret: versions, dates and times, sizes and durations, words with a number.
_NO_SECRET = re.compile(
    r"v?\d+(?:\.\d+)+(?:[-+.]?[A-Za-z]+[\d.]*)*|\d{4}-\d\d-\d\dT?[\d:.Z+\-]*|\d+(?:\.\d+)?[A-Za-z]{1,7}"
    r"|(?:sha|md|aes|rsa|hs|rs|es|utf|oauth|ed|base|http|ipv|x|h|argon|pbkdf|blake)-?\d{1,5}\w{0,10}"
    r"|[a-z]+(?:[-_][a-z]+)+[-_]?v?\d{0,2}|[a-z]+(?:[-_][a-z0-9]{1,12}){0,6}[-_]v?\d{1,3}"
    r"|rfc-?\d+|line-?\d+|[A-Za-z]{3,}[_-]\d{1,3}",
    re.IGNORECASE | re.ASCII,
)
