"""Tokens that are told by their own form: a vendor's prefix, a fixed length."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

from recall_uploader.redact.rule import START, Rule, Span, Where, anchored, in_word, places, words

# Name, the anchors, and what a token looks like from there.
# Where the form is: the vendors' own documentation of their secret scanning patterns.
_FORMS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("aws-access-key", ("AKIA", "ASIA", "ABIA", "ACCA"), r"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}"),
    # Not in the middle of longer base64, such as an image.
    (
        "aws-session-token",
        ("FwoG", "IQoJ"),
        r"(?<![A-Za-z0-9+/]{8})(?:FwoG|IQoJ)[A-Za-z0-9/+=%]{80,20000}(?![A-Za-z0-9/+=%])",
    ),
    (
        "github-token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"(?:gh[pousr]|github_pat)_[A-Za-z0-9][A-Za-z0-9_]{15,}",
    ),
    (
        "gitlab-token",
        (
            *("glpat-", "gldt-", "glrt-", "glrtr-", "glcbt-", "glptt-", "glft-", "glimt-"),
            *("glagent-", "gloas-", "glsoat-", "glffct-", "glwt-", "GR1348941"),
        ),
        r"(?:gl[a-z]{2,5}-|GR1348941)[\w.\-]{16,}",
    ),
    ("slack-token", ("xox", "xapp-"), r"(?:xox[a-z](?:\.xox[a-z])?|xapp)-[A-Za-z0-9\-]{10,}"),
    (
        "stripe-key",
        ("sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_"),
        r"(?:[sr]k_(?:live|test)|whsec)_[A-Za-z0-9]{10,}",
    ),
    ("anthropic-key", ("sk-ant-",), r"sk-ant-[\w\-]{8,}"),
    ("openrouter-key", ("sk-or-",), r"sk-or-(?:v\d-)?[\w\-]{16,}"),
    (
        "openai-key",
        ("sk-",),
        # A digit: class names such as sk-estimator-doc-link have none.
        r"sk-(?:(?=[\w\-]{0,80}?\d)(?:(?:proj|svcacct|admin|service|None|test|live)-[\w\-]{10,}"
        r"|[A-Za-z0-9][\w\-]{19,})|[A-Za-z0-9]{32,})",
    ),
    ("google-api-key", ("AIza",), r"AIza[\w\-]{35,}"),
    ("google-oauth", ("GOCSPX-", "ya29.", "1//0"), r"(?:GOCSPX-|ya29\.|1//0)[\w\-.]{18,}"),
    ("npm-token", ("npm_",), r"npm_[A-Za-z0-9]{30,}"),
    ("pypi-token", ("pypi-A",), r"pypi-A[\w\-]{30,}"),
    ("huggingface-token", ("hf_", "api_org_"), r"(?:hf|api_org)_[A-Za-z0-9]{24,}"),
    ("sendgrid-key", ("SG.",), r"SG\.[\w\-]{10,}+\.[\w\-]{10,}"),
    ("twilio-key", ("SK",), r"SK[0-9a-f]{32}(?![0-9A-Za-z])"),
    ("digitalocean-token", ("dop_v1_", "doo_v1_", "dor_v1_"), r"do[opr]_v1_[a-f0-9]{40,}"),
    ("shopify-token", ("shp",), r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32,}"),
    ("mailgun-key", ("key-",), r"key-[0-9a-f]{32}(?![0-9A-Za-z])"),
    ("square-token", ("sq0",), r"sq0(?:atp|csp|idp)-[\w\-]{20,}"),
    ("databricks-token", ("dapi",), r"dapi[0-9a-f]{32}(?:-\d)?"),
    ("vault-token", ("hvs.", "hvb.", "hvr."), r"hv[sbr]\.[\w\-]{20,}"),
    ("age-key", ("AGE-SECRET-KEY-",), r"AGE-SECRET-KEY-[A-Z0-9\-]{30,}"),
    (
        "service-token",
        (
            *("gsk_", "xai-", "pplx-", "r8_", "tvly-", "lsv2_", "lin_api_", "ntn_", "figd_"),
            *("PMAK-", "dp.", "glsa_", "glc_", "NRAK-", "sntry", "sbp_", "pscale_", "HRKU-"),
            *("ATATT3", "ATCTT3", "dckr_", "tskey-", "rubygems_", "secret_", "pul-", "fo1_", "cio"),
            *("ops_eyJ",),
        ),
        r"(?:gsk_|xai-|pplx-|r8_|tvly-|lsv2_(?:pt|sk)_|lin_api_|ntn_|figd_|PMAK-|dp\.[a-z]{2,5}\."
        r"|glsa_|glc_|NRAK-|sntry[su]_|sbp_|pscale_(?:tkn|pw|oauth)_|HRKU-|AT[AC]TT3|dckr_[a-z]{3}_"
        r"|tskey-[a-z]+-|rubygems_|secret_|pul-|fo1_|cio|ops_eyJ)"
        r"(?=[\w\-]{0,64}?\d)[\w\-=.]{24,}",
    ),
)
# So telling that they count behind any character: `passwordghp_…`, as two fields run together.
_ANYWHERE = words(
    "github-token gitlab-token slack-token stripe-key anthropic-key digitalocean-token age-key"
)
# Forms whose literal part stands inside: with how many characters may come before it.
_INNER_FORMS: tuple[tuple[str, str, tuple[int, ...], str], ...] = (
    ("telegram-token", ":AA", (10, 9, 8), r"\d{8,10}:AA[\w\-]{30,}"),
    ("azure-client-secret", "Q~", (4,), r"[\w~.\-]{3}\dQ~[\w~.\-]{31,40}"),
    ("mailchimp-key", "-us", (32,), r"[0-9a-f]{32}-us\d{1,2}(?![0-9A-Za-z])"),
    ("terraform-token", ".atlasv1.", (14,), r"[A-Za-z0-9]{14}\.atlasv1\.[\w\-=]{40,}"),
)
# The boundary counts - and _ as parts of a token: each run is then tried once, which keeps the
# search linear, since a JSON web token needs a point far behind its start.
_JWT = (
    r"(?:(?<![\w\-])|(?<=\\[nrtbf])|(?<=%[0-9A-Fa-f]{2}))"
    r"(?:eyJ|ewo)[\w\-]{5,}+(?:\.[\w\-]*+){1,4}"
)
_AWS_ANCHORS = ("secret", "akia", "asia")
_AWS_SECRET = (
    r"(?:secret[ _\-]?(?:access[ _\-]?)?key[^A-Za-z0-9/+]{1,12}"
    r"|A(?:KIA|SIA)[A-Z0-9]{16}[^A-Za-z0-9/+]{1,12}"
    r"(?:[a-z_ \-]{0,30}secret[a-z_ \-]{0,20}[^A-Za-z0-9/+]{1,12})?)"
    r"(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])"
)
_WEBHOOKS = (
    r"hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/(?P<secret>[A-Za-z0-9/_\-]{12,})"
    r"|/webhooks/\d{5,}/(?P<secret_discord>[\w\-]{20,})"
    r"|webhook\.office\.com/webhookb2/(?P<secret_teams>[\w\-@/]{40,})"
    r"|api\.telegram\.org/bot(?P<secret_telegram>\d{6,}:[\w\-]{20,})"
    r"|chat\.googleapis\.com/v1/spaces/[^\s?]{1,80}\?key=(?P<secret_chat>[^\s\"']{20,})"
)
_DISCORD_END = re.compile(r"\.[A-Za-z0-9_\-]{6}\.[A-Za-z0-9_\-]{27,}", re.ASCII)
_DISCORD_START = re.compile(r"[MNO][A-Za-z0-9_\-]{22,29}\Z", re.ASCII)
_WORD = frozenset(string.ascii_letters + string.digits + "_-")


def _find_discord(text: str, lowered: str) -> Iterator[Span]:
    """Its literal part is a mere point: what stands behind is looked at before what comes first."""
    for place in places(text, "."):
        if text[place + 7 : place + 8] == "." and (match := _DISCORD_END.match(text, place)):
            start = place
            while start > max(0, place - 30) and text[start - 1] in _WORD:
                start -= 1
            if _DISCORD_START.match(text[start:place]):
                yield start, match.end()


TOKEN_RULES: tuple[Rule, ...] = (
    *(
        in_word(name, anchors, ("" if name in _ANYWHERE else START) + form, caseless=False)
        for name, anchors, form in _FORMS
    ),
    *(
        in_word(name, (anchor,), START + form, caseless=False, leads=leads)
        for name, anchor, leads, form in _INNER_FORMS
    ),
    Rule("discord-token", _find_discord, (".",), Where.TEXT, looks=(_DISCORD_END.pattern,)),
    in_word("jwt", ("eyJ", "ewo"), _JWT, caseless=False),
    in_word(
        "webhook",
        ("hooks.slack", "/webhooks/", "webhook.office", "api.telegram", "chat.google"),
        _WEBHOOKS,
    ),
    Rule("aws-secret-key", anchored(_AWS_ANCHORS, _AWS_SECRET), _AWS_ANCHORS),
)
