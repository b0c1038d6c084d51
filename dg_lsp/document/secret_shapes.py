"""Finds secrets by the format that their issuer gave them: a GitHub token, a private key block.

Each shape has hints, and a plain text search finds these first, so ordinary text costs next to
nothing. All repetitions are bounded, so that long lines are not slow.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dg_lsp.document.secret_parts import Parts
from dg_lsp.document.secret_values import (
    is_key,
    is_mixed,
    is_password,
    is_placeholder,
    is_random,
)

MAX_KEY_BLOCK_CHARS = 16_384
"""How far to search for the end of a private key; one of 8192 bits has about 6,400."""


@dataclass(frozen=True, slots=True)
class Secret:
    """The range of a secret, and what kind of secret it is."""

    start: int
    end: int
    what: str


def _is_varied(value: str) -> bool:
    # A placeholder such as "ghp_xxxxxxxx" is not a token.
    return len(set(value)) > 6 and "EXAMPLE" not in value


def _is_bearer(value: str) -> bool:
    return is_random(value) or (
        bool(re.search(r"\d", value)) and not is_placeholder(value) and is_mixed(value, 0.2)
    )


def _is_basic(value: str) -> bool:
    """Whether it is a user, a colon and a password in base64 (RFC 7617)."""
    try:
        pair = base64.b64decode(value + "=" * (-len(value) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return False
    return ":" in pair and pair.isprintable()


_Check = Callable[[str], bool]
_INSIDE_WORD = re.compile(r"[\w*-]")


@dataclass(frozen=True, slots=True)
class _Shape:
    what: str
    hints: tuple[str, ...]
    """Every match of this shape begins with one of these."""
    expression: re.Pattern[str]
    """Matches at a hint; the secret is its group, or the whole match if it has none."""
    check: _Check


def _shape(what: str, hints: str, expression: str, check: _Check = _is_varied) -> _Shape:
    return _Shape(what, tuple(hints.split()), re.compile(expression), check)


# The comments link to the issuer's documentation of the format, if there is any.
_SHAPES = [
    # docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
    _shape("an AWS key id", "AKIA ASIA", r"A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9*])"),
    # github.blog/engineering/behind-githubs-new-authentication-token-formats (2021)
    _shape("a dg-lsp token", "dgl_", r"dgl_[A-Za-z0-9_-]{43}"),
    _shape("a GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh._[A-Za-z0-9]{30,255}"),
    _shape("a GitHub token", "github_pat_", r"github_pat_\w{22,255}"),
    # docs.gitlab.com/security/tokens/#token-prefixes
    _shape(
        "a GitLab token",
        "glpat- gldt- glrt- glrtr- glcbt- glptt- glft- glimt- glagent- gloas- glsoat- glffct-",
        r"gl[a-z]+-[\w.-]{20,300}",
    ),
    # docs.slack.dev/authentication/tokens, .../sending-messages-using-incoming-webhooks
    _shape("a Slack token", "xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs-", r"xox.-[\w-]{10,255}"),
    _shape("a Slack token", "xoxe.xoxb- xoxe.xoxp-", r"xoxe\.xox.-[\w-]{10,255}"),
    _shape("a Slack token", "xapp-", r"xapp-[\w-]{10,255}"),
    _shape("a Slack webhook", "hooks.slack.com/", r"hooks\.slack\.com/\w+/([\w/]{20,255})"),
    # discord.com/developers/docs/resources/webhook
    _shape("a Discord webhook", "/api/webhooks/", r"/api/webhooks/\d{17,20}/([\w-]{60,80})"),
    _shape("an API key", "sk-", r"sk-[\w-]{20,255}", is_random),
    # docs.stripe.com/keys and docs.stripe.com/webhooks
    _shape(
        "a Stripe key", "sk_live_ rk_live_ sk_test_ rk_test_", r".k_...._[A-Za-z0-9]{16,255}"
    ),
    _shape("a Stripe key", "whsec_", r"whsec_[A-Za-z0-9+/]{24,255}"),
    # cloud.google.com/docs/authentication/api-keys; the other two as issued
    _shape("a Google key", "AIza", r"AIza[\w-]{35}"),
    _shape("a Google token", "ya29.", r"ya29\.[\w-]{20,2048}"),
    _shape("a Google token", "GOCSPX-", r"GOCSPX-[\w-]{20,255}"),
    _shape("a Hugging Face token", "hf_", r"hf_[A-Za-z0-9]{30,64}(?!\w)"),
    # github.blog/changelog/2021-09-23-npm-has-a-new-access-token-format
    _shape("an npm token", "npm_", r"npm_[A-Za-z0-9]{36}(?!\w)"),
    # warehouse.pypa.io/development/token-scanning: a macaroon after "pypi-"
    _shape("a PyPI token", "pypi-AgE", r"pypi-AgE[\w-]{50,255}"),
    _shape("a RubyGems key", "rubygems_", r"rubygems_[a-f0-9]{48}"),
    _shape("a Docker token", "dckr_pat_ dckr_oat_", r"dckr_.at_[\w-]{20,64}"),
    # www.twilio.com/docs/glossary/what-is-a-sid; SendGrid, Mailgun and Brevo as issued
    _shape("a Twilio key", "SK", r"SK[a-f0-9]{32}(?!\w)"),
    _shape("a SendGrid key", "SG.", r"SG\.[\w-]{16,64}+\.[\w-]{16,64}"),
    _shape("a Mailgun key", "key-", r"key-[a-f0-9]{32}(?!\w)"),
    _shape("a Brevo key", "xkeysib-", r"xkeysib-[a-f0-9]{64}-\w{16}"),
    # docs.digitalocean.com/reference/api/create-personal-access-token
    _shape("a DigitalOcean token", "dop_v1_ doo_v1_ dor_v1_", r"do._v1_[a-f0-9]{64}"),
    _shape("a Databricks token", "dapi", r"dapi[a-f0-9]{32}(?![A-Za-z0-9*])"),
    # shopify.dev/changelog/length-of-the-shopify-access-token-is-increasing
    _shape("a Shopify token", "shpat_ shpca_ shppa_ shpss_", r"shp.._[a-fA-F0-9]{32}"),
    # developer.hashicorp.com/vault/docs/concepts/tokens#token-prefixes
    _shape("a Vault token", "hvs. hvb. hvr.", r"hv.\.[\w-]{24,400}"),
    # age-encryption.org/v1: Bech32 of 32 bytes
    _shape("an age key", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    # learn.microsoft.com/azure/storage/common/storage-configure-connection-string and
    # .../service-bus-messaging/service-bus-sas, .../storage/common/storage-sas-overview
    _shape("an Azure key", "AccountKey=", r"AccountKey=([A-Za-z0-9+/]{43,88}={0,2})"),
    _shape("an Azure key", "SharedAccessKey=", r"\w+=([A-Za-z0-9+/]{40,88}={0,2})"),
    _shape("an Azure signature", "sig=", r"sig=((?:[\w+/-]|%[0-9A-Fa-f]{2}){40,120}={0,2})"),
    _shape("a SonarQube token", "sqp_ squ_ sqa_", r"sq._[a-f0-9]{40}"),
    _shape("a SonarQube token", ".login=", r"\.login=([a-f0-9]{40})"),
    _shape("a Linear key", "lin_api_ lin_oauth_", r"lin_\w+_[A-Za-z0-9]{32,64}"),
    _shape("a Notion token", "ntn_", r"ntn_[A-Za-z0-9]{40,64}"),
    # developer.atlassian.com: API tokens begin with ATATT3 since 2023
    _shape("an Atlassian token", "ATATT3 ATCTT3 ATBB", r"AT[A-Z]{2}[\w-]{20,400}(?:=\w{8})?"),
    # develop.sentry.dev/backend/auth-tokens and grafana.com/docs: service account tokens
    _shape("a Sentry token", "sntrys_ sntryu_", r"sntry._[\w+/=-]{40,400}"),
    _shape("a Grafana token", "glsa_ glc_", r"gl\w{1,2}_[\w+/=-]{32,200}"),
    # docs.newrelic.com/docs/apis/intro-apis/new-relic-api-keys
    _shape("a New Relic key", "NRAK- NRJS-", r"NR..-[A-Za-z0-9]{19,40}"),
    # developer.squareup.com and developers.facebook.com: as issued
    _shape("a Square token", "EAAA sq0atp- sq0csp-", r"(?:EAAA|sq0...-)[\w-]{22,120}"),
    _shape("a Facebook token", "EAA", r"EAA[A-Za-z0-9]{60,400}", is_random),
    # docs.doppler.com/reference/auth-token-formats; tailscale.com/kb/1207/secret-scanning
    _shape(
        "a Doppler token", "dp.", r"dp\.[a-z]{2,5}\.(?:[\w-]{2,35}\.)?[A-Za-z0-9]{40,44}(?!\w)"
    ),
    _shape("a Tailscale key", "tskey-", r"tskey-(?:[a-z]{3,10}-)?[\w-]{16,100}"),
    _shape("a Postman key", "PMAK-", r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}"),
    _shape("a Figma token", "figd_", r"figd_[\w-]{40,64}"),
    _shape("a Pulumi token", "pul-", r"pul-[a-f0-9]{40}"),
    _shape("a PlanetScale token", "pscale_", r"pscale_\w+_[\w.-]{32,64}"),
    _shape(
        "an API key",
        "gsk_ xai- pplx- nvapi- tvly- r8_",
        r"[a-z8]{2,5}[_-][\w-]{32,120}",
        is_random,
    ),
    _shape(
        "a password",
        "sqlplus ",
        r"sqlplus (?:-\w+ ){0,3}\w{1,32}/([^\s/@\"'*]{4,64})@",
        is_password,
    ),
    # RFC 7519, RFC 7515
    _shape("a JSON web token", "eyJ", r"eyJ[\w-]{8,999}+\.[\w-]{8,4999}+(?:\.[\w-]{1,1999})?"),
    # RFC 6750, RFC 7617, and the scheme of Django REST framework
    _shape(
        "a bearer token", "Bearer bearer", r".earer[ \t]([\w.~+/-]{20,4096}={0,2})", _is_bearer
    ),
    _shape("a password", "Basic basic", r".asic[ \t]([A-Za-z0-9+/]{8,400}={0,2})", _is_basic),
]

# Shapes with a distinctive part in the middle: an expression for this part and what follows,
# which begins with a literal so that `re` finds it quickly, and one for what comes before.
_INNER_SHAPES = [
    (what, re.compile(rest), re.compile(rf"(?<![\w*-]){start}\Z"))
    for what, rest, start in (
        # discord.com/developers/docs/reference#authentication: an id, a time, a signature
        ("a Discord token", r"\.[\w-]{6}\.[\w-]{27,38}(?![\w-])", r"[MNO][\w-]{23,26}"),
        # core.telegram.org/bots/api#authorizing-your-bot
        ("a Telegram token", r":AA[\w-]{33}(?![\w-])", r"(?:bot)?\d{8,10}"),
        # Entra client secrets, as issued since 2021
        ("an Azure secret", r"Q~[\w.~-]{31,37}(?![\w~-])", r"[\w.~-]{3}[78]"),
        # mailchimp.com/developer/marketing/docs/fundamentals; Mailgun's sending keys
        (
            "a mail key",
            r"-(?:us\d{1,2}|[0-9a-f]{8}-[0-9a-f]{8})(?![\w-])",
            r"[0-9a-f]{32}",
        ),
        ("a New Relic key", r"NRAL(?!\w)", r"[0-9a-f]{36}"),
        # developer.hashicorp.com/terraform/cloud-docs/users-teams-organizations/api-tokens
        ("a Terraform token", r"\.atlasv1\.[\w-]{60,90}", r"\w{14}"),
    )
]
_HINTS = Parts(hint for shape in _SHAPES for hint in shape.hints)
MAX_START_CHARS = 48
_TOKEN_HEADER = re.compile(
    r"uthorization[\"']?\]?[ \t]?[:=,][ \t]?[A-Za-z]?[\"'`]?"
    r"[A-Za-z][A-Za-z-]{1,19}[ =](?:\w{1,16}=)?\\?[\"']?([\w.~+/-]{20,255}={0,2})"
)
# `?key=...`, `&appid=...`, and the path of a webhook, which is all that protects it.
_URL_KEY = re.compile(
    r"[?&][\w-]{0,24}(?:key|token|auth|secret|api_?id|app_?id|sig)=([\w.~+/%-]{20,512}={0,2})",
    re.IGNORECASE,
)
_HOOK_KEY = re.compile(
    r"hooks?\w{0,8}(?:\.[\w.-]{1,80})?(?:/[\w.@-]{1,120}){0,6}?/([\w-]{20,120})(?![\w@-])"
)
_URL_PASSWORD = re.compile(r"://[^\s/:@\"'<>`]{0,64}:([^\s/@\"'`]{4,128})@")
# github.com/go-sql-driver/mysql#dsn-data-source-name
_DSN_PASSWORD = re.compile(r":([^\s/@:\"'`*]{4,64})\Z")
_KEY_BLOCK_EDGE = re.compile(
    r"-----(BEGIN|END) (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
)
_KEY_WORD = re.compile(r"[A-Za-z0-9+/=]{4,}")
_KEY_LINE = re.compile(r"[A-Za-z0-9+/=]{40,}")


def key_blocks(text: str) -> Iterator[Secret]:
    """Private keys between their markers (RFC 7468, and similar ones of PGP and OpenSSH)."""
    edges = list(_KEY_BLOCK_EDGE.finditer(text)) if "PRIVATE KEY" in text else []
    for index, edge in enumerate(edges):
        if edge[1] == "BEGIN":
            follows = edges[index + 1] if index + 1 < len(edges) else None
            start, end = edge.end(), follows.start() if follows else len(text)
            end = min(end, start + MAX_KEY_BLOCK_CHARS)
            complete = follows is not None and follows[1] == "END" and follows.start() == end
        elif index == 0 or edges[index - 1][1] == "END":
            # Only the end of the block is in the text.
            end = edge.start()
            start = max(edges[index - 1].end() if index else 0, end - MAX_KEY_BLOCK_CHARS)
            complete = False
        else:
            continue
        # Code that handles such blocks contains both markers, but no key between them.
        if _KEY_LINE.search(text, start, end):
            for word in (_KEY_WORD if complete else _KEY_LINE).finditer(text, start, end):
                yield Secret(word.start(), word.end(), "a private key")


def tokens(text: str) -> Iterator[Secret]:
    """Tokens and keys in an issuer's format."""
    present = _HINTS.present_in(text)
    for shape in _SHAPES if present else ():
        # Hardly any text has one.
        hints = [hint for hint in shape.hints if hint in present]
        if not hints:
            continue
        starts = itertools.chain.from_iterable(_word_starts(text, one) for one in hints)
        group = shape.expression.groups
        for match in matches(shape.expression, text, starts):
            if shape.check(match[group]):
                yield Secret(*match.span(group), shape.what)
    for what, rest, beginning in _INNER_SHAPES:
        for match in rest.finditer(text):
            near = max(0, match.start() - MAX_START_CHARS)
            begun = beginning.search(text, near, match.start())
            if begun and _is_varied(text[begun.start() : match.end()]):
                yield Secret(begun.start(), match.end(), what)
    for match in matches(_TOKEN_HEADER, text, every(text, "uthorization")):
        if _is_bearer(match[1]):
            yield Secret(*match.span(1), "a token in a header")


def url_passwords(text: str) -> Iterator[Secret]:
    """The password in the userinfo of a URL (RFC 3986, 3.2.1) and in similar strings, and keys
    in its query and in the paths of webhooks."""
    signs = itertools.chain(every(text, "?"), every(text, "&"))
    for expression, starts in ((_URL_KEY, signs), (_HOOK_KEY, every(text, "hook"))):
        for match in matches(expression, text, starts):
            if is_key(match[1]):
                yield Secret(*match.span(1), "a key in a URL")
    for match in matches(_URL_PASSWORD, text, every(text, "://")):
        if is_password(match[1]):
            yield Secret(*match.span(1), "a password in a URL")
    for at in itertools.chain(every(text, "@tcp("), every(text, "@unix(")):
        password = _DSN_PASSWORD.search(text, max(0, at - 2 * MAX_START_CHARS), at)
        if password and is_password(password[1]):
            yield Secret(*password.span(1), "a password in a URL")


def matches(
    expression: re.Pattern[str], text: str, starts: Iterator[int]
) -> Iterator[re.Match[str]]:
    """The matches at these offsets; they do not overlap if the offsets ascend."""
    span = (0, 0)
    for start in starts:
        inside = span[0] <= start < span[1]
        match = None if inside else expression.match(text, start)
        if match:
            span = match.span()
            yield match


def every(text: str, part: str) -> Iterator[int]:
    """The offsets at which a part occurs."""
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + len(part))


def _word_starts(text: str, part: str) -> Iterator[int]:
    for at in every(text, part):
        if not (at and part[0].isalnum() and _INSIDE_WORD.match(text, at - 1)):
            yield at
