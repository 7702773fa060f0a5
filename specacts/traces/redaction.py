"""Finding and redacting secrets in imported traces.

    clean, found = redact(trace)        # any JSON value; found counts by kind, such as {"openai": 2, "password": 1}
    clean, found = redact_text(text)    # each finding becomes "[REDACTED:kind]"
    clean = redacted(trace, found)      # the same as `redact`, with its findings added to those of others

Three sources, the most specific one names the finding: keys with a known shape (PREFIXES and SHAPES here, which know
the present AI providers, and the regular expressions of detect-secrets), credentials in URLs and headers, and values
that are assigned to a name such as `api_key`. Nothing is verified and nothing goes over the network.

Of detect-secrets only the expressions are used. Those of its expressions that take quadratic time or worse on hostile
text, or that leave a part of the secret standing, have their own version here (its JWT, npm, OpenAI, GitHub, GitLab,
private key, basic auth, IBM, Cloudant and Softlayer detectors).
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from detect_secrets.plugins.artifactory import ArtifactoryDetector
from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector

SHORTEST = 8  # characters: no shorter text holds a name, a sign and a value worth hiding
ROUNDS = 10  # a redaction can bring two halves of another finding together, hardly ever twice
PROPAGATED = 100  # distinct values looked for elsewhere in the same text: bounds the time on hostile text
REMEMBERED = 256  # characters of the longest text whose findings are remembered: memory stays flat
EXTENDED = 256  # characters by which a match of detect-secrets may grow to the end of its word

TOKEN = "[A-Za-z0-9_-]"
REST = TOKEN + "*+"  # no remnant when a provider makes its keys longer


class Redacted(NamedTuple):
    """The value, of the same shape, and how often each kind was found."""

    value: Any
    found: Counter[str]


class Span(NamedTuple):
    """Where a finding is, and how specific it is: the lowest rank names what overlaps."""

    start: int
    end: int
    rank: int
    kind: str


class Shape(NamedTuple):
    """What a key looks like; `varied` asks for a digit too, where the expression alone would match prose."""

    kind: str
    pattern: re.Pattern[str]
    varied: bool


# (kind, prefix, what follows). Every prefix ends in - or _, by which one pass tells that a text holds none of them.
# Unbounded repetition is safe only at the end of a pattern, where nothing can make it give characters back.
PREFIXES = (
    ("anthropic", "sk-ant-", "[A-Za-z0-9_-]{16,}+"),
    ("openrouter", "sk-or-", "[A-Za-z0-9_-]{24,}+"),
    ("langfuse", "[sp]k-lf-", "[A-Za-z0-9-]{20,}+"),
    ("openai", "sk-proj-", "[A-Za-z0-9_-]{20,}+"),
    ("openai", "sk-svcacct-", "[A-Za-z0-9_-]{20,}+"),
    ("openai", "sk-admin-", "[A-Za-z0-9_-]{20,}+"),
    ("openai", "sk-None-", "[A-Za-z0-9_-]{20,}+"),
    ("deepseek", "sk-", "[a-f0-9]{32}(?![A-Za-z0-9_-])"),
    ("cerebras", "csk-", "[A-Za-z0-9]{24,}+"),
    ("xai", "xai-", "[A-Za-z0-9_-]{32,}+"),
    ("perplexity", "pplx-", "[A-Za-z0-9]{24,}+"),
    ("nvidia", "nvapi-", "[A-Za-z0-9_-]{32,}+"),
    ("voyage", "pa-", "[A-Za-z0-9_-]{40,}+"),
    ("voyage", "al-", "[A-Za-z0-9_-]{40,}+"),
    ("tavily", "tvly-", "[A-Za-z0-9_-]{16,}+"),
    ("firecrawl", "fc-", "[a-f0-9]{32}"),
    ("huggingface", "hf_", "[A-Za-z0-9]{30,}+"),
    ("huggingface", "api_org_", "[A-Za-z0-9]{30,}+"),
    ("groq", "gsk_", "[A-Za-z0-9]{32,}+"),
    ("replicate", "r8_", "[A-Za-z0-9]{32,}+"),
    ("fireworks", "fw_", "[A-Za-z0-9]{20,}+"),
    ("langsmith", "lsv2_[ps][tk]_", "[A-Za-z0-9_]{32,}+"),
    ("wandb", "wandb_v1_", "[A-Za-z0-9_]{32,}+"),
    ("pinecone", "pcsk_", "[A-Za-z0-9_]{32,}+"),
    ("jina", "jina_", "[A-Za-z0-9_-]{32,}+"),
    ("e2b", "e2b_", "[a-f0-9]{32,}+"),
    ("elevenlabs", "sk_", "[a-f0-9]{40,}+"),
    ("together", "tgp_v1_", "[A-Za-z0-9_-]{32,}+"),
    ("vercel", "vc[a-z]_", "[A-Za-z0-9]{24,}+"),
    ("github", "github_pat_", "[A-Za-z0-9_]{30,}+"),
    ("github", "gh[pousr]_", "[A-Za-z0-9_]{30,}+"),
    ("gitlab", "gl(?:pat|cbt|imt|ptt|oas)-", "[A-Za-z0-9_.-]{20,}+"),
    ("gitlab", "gl(?:dt|ft|rt)-", "[A-Za-z0-9_.-]{20,}+"),
    ("gitlab", "glsoat-", "[A-Za-z0-9_.-]{20,}+"),
    ("gitlab", "glagent-", "[A-Za-z0-9_.-]{20,}+"),
    ("notion", "ntn_", "[A-Za-z0-9]{32,}+"),
    ("notion", "secret_", "[A-Za-z0-9]{40,}+"),
    ("linear", "lin_(?:api|wh_)_", "[A-Za-z0-9]{30,}+"),
    ("linear", "lin_oauth_", "[A-Za-z0-9]{30,}+"),
    ("slack", "xapp-", "[A-Za-z0-9-]{16,}+"),
    ("slack", "xox[a-z]-", "[A-Za-z0-9-]{16,}+"),
    ("npm", "npm_", "[A-Za-z0-9]{30,}+"),
    ("stripe", "[rs]k_test_", "[A-Za-z0-9]{20,}+"),
    ("stripe", "whsec_", "[A-Za-z0-9]{24,}+"),
    ("digitalocean", "do[opr]_v1_", "[a-f0-9]{40,}+"),
    ("shopify", "shp(?:at|ca|pa|ss)_", "[A-Fa-f0-9]{32}"),
    ("docker", "dckr_[po]at_", "[A-Za-z0-9_-]{20,}+"),
    ("supabase", "sbp_", "[a-f0-9]{40}"),
    ("supabase", "sb_secret_", "[A-Za-z0-9_-]{20,}+"),
    ("grafana", "glsa_", "[A-Za-z0-9_]{32,}+"),
    ("1password", "ops_", "eyJ[A-Za-z0-9+/=_-]{50,}+"),
)
# Last of all, hence the least specific: an OpenAI-style key of somebody else's server.
OTHER_SK = ("openai", "sk-", "[A-Za-z0-9][A-Za-z0-9_-]{19,}+")
# Words and names end in these prefixes or go on like a key, so what follows must hold a digit and begin a word.
AMBIGUOUS = {"sk-", "pa-", "al-", "fw_", "xai-", "secret_", "jina_", "csk-", "pcsk_"}


def begins_word(prefix: str) -> str:
    r"""A pattern of `prefix` where a word begins: also after an escape such as \n or %20, and after a colour code.

    The prefix comes first, since that lets the search skip to it; what is before it is looked at afterwards.
    """
    before = (r"\\[nrtbf]", r"\\u[0-9A-Fa-f]{4}", "%[0-9A-Fa-f]{2}", r"\[[0-9]m", r"\[[0-9]{2}m")
    return f"{prefix}(?:(?<![A-Za-z0-9]{prefix})" + "".join(f"|(?<={part}{prefix})" for part in before) + ")"


def shape(kind: str, prefix: str, body: str) -> Shape:
    """The shape of a key that starts with `prefix`; a long prefix is clear enough in the middle of a word."""
    start = begins_word(prefix) if len(prefix) < 6 or prefix in AMBIGUOUS else prefix
    return Shape(kind, re.compile(start + body + REST), prefix in AMBIGUOUS)


def gate(separator: str, others: str) -> re.Pattern[str]:
    """Whether any prefix that ends in `separator` occurs with something key-like behind it, or any of `others`."""
    prefixes = dict.fromkeys(prefix for _, prefix, _ in PREFIXES if prefix.endswith(separator))
    behind = "|".join(f"(?<={prefix})" for prefix in prefixes)
    return re.compile(f"{separator}(?:(?={TOKEN}{{16}})(?:{behind})|{others})")


def denied(kind: str, detector: Any) -> tuple[Shape, ...]:
    """What detect-secrets looks for.

    Its own `analyze_string` is no use: where an expression has groups it yields only these, for a part of the key.
    """
    return tuple(Shape(kind, pattern, False) for pattern in detector.denylist)


def own(kind: str, *patterns: str) -> tuple[Shape, ...]:
    """Shapes that are neither a prefix of the table nor in detect-secrets."""
    return tuple(Shape(kind, re.compile(pattern), False) for pattern in patterns)


# (literal, gate, shapes): text without the literal, or in which the gate finds nothing, is not searched for the shapes.
# The gates are few because each is a pass over all text, and begin with something fixed because only then the search
# skips quickly to the next candidate.
SHAPES = (
    (
        "-",
        gate("-", r"us[0-9](?<=[0-9a-z]{32}-us[0-9])|AgE[IN]|(?<=sq0csp-)"),
        tuple(shape(*row) for row in PREFIXES if row[1].endswith("-"))
        + (shape(*OTHER_SK),)
        + denied("mailchimp", MailchimpDetector)
        + denied("pypi", PypiTokenDetector)
        + denied("square", SquareOAuthDetector),
    ),
    (
        "_",
        gate("_", "(?<=[rs]k_live_)"),
        tuple(shape(*row) for row in PREFIXES if row[1].endswith("_")) + denied("stripe", StripeDetector),
    ),
    (
        "A",
        re.compile(
            r"A(?:(?:Iza|KIA|SIA|BIA|CCA|3T[A-Z0-9]|KC)[A-Za-z0-9_-]{10}|BSK[A-Za-z0-9+/]{60}|C[a-z0-9]{32}"
            r"|P[0-9A-F](?=[a-zA-Z]{0,40}[0-9])[A-Za-z0-9]{8})"
        ),
        own("google", "AIza[A-Za-z0-9_-]{30,}+")
        + own("aws-bedrock", "ABSK[A-Za-z0-9+/]{60,}+={0,2}")
        + denied("aws-access-key", AWSKeyDetector)[:1]
        + denied("twilio", TwilioKeyDetector)[:1]
        + denied("artifactory", ArtifactoryDetector),
    ),
    (
        "S",
        re.compile(r"S(?:G\.[A-Za-z0-9_-]{22}|K[a-z0-9]{32}|0tLS1CRUdJTi)"),
        denied("sendgrid", SendGridDetector)
        + denied("twilio", TwilioKeyDetector)[1:]
        + own("private-key", "LS0tLS1CRUdJTi(?!BDRVJU|BQVUJM)[A-Za-z0-9+/]{20,}+={0,2}"),
    ),
    (
        ":",
        re.compile(r":(?://hooks\.slack\.com/|[0-9A-Za-z_-]{35}(?<=[0-9]{8}:.{35}))"),
        denied("telegram", TelegramBotTokenDetector) + denied("slack-webhook", SlackDetector)[1:],
    ),
    (
        ".",
        re.compile(r"\.[a-zA-Z0-9_-]{6}\.[a-zA-Z0-9_-]{27}"),
        denied("discord", DiscordBotTokenDetector),
    ),
    (
        "eyJ",
        re.compile("eyJ[A-Za-z0-9_=-]{6}"),
        # Within one word only its first eyJ counts: looking again from each of them would be quadratic.
        own(
            "jwt",
            begins_word("eyJ").replace("[A-Za-z0-9]eyJ", "[A-Za-z0-9_-]eyJ")
            + r"[A-Za-z0-9_=-]{6,}+\.[A-Za-z0-9_=-]{4,}+(?:\.[A-Za-z0-9_+/=-]*+){0,3}",
        ),
    ),
    ("dapi", re.compile("dapi[a-f0-9]{32}"), own("databricks", "dapi[a-f0-9]{32}(?:-[0-9]{1,2})?")),
)
# The same for what is written in any case; these are searched for in the text made lower-case.
AWS_SECRET = denied("aws-secret-key", AWSKeyDetector)[1:]
AZURE = denied("azure-storage-key", AzureStorageKeyDetector)

BEGIN_KEY = re.compile("BEGIN (?:(?<=-BEGIN )|(?<=- BEGIN ))[A-Z0-9 ]{0,40}PRIVATE KEY")
BEGIN_PUTTY = re.compile("PuTTY-User-Key-File-[0-9]")
END_KEY = re.compile("-{2,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{0,5}|Private-MAC: ?[0-9a-f]{1,128}")
URL_PASSWORD = re.compile(r"://[^\s:/?#@\"'<>\\\0]{0,128}:(?P<value>[^\s/?#\"'<>\\\0]{1,256})@")
BEARER = re.compile(r"bearer(?: |:|\+|%20|\\?[\"']){1,3}(?P<value>[a-z0-9._~+/=|-]{16,}+)")

# What stands between a name and its value. All of it is bounded: three unbounded runs of spaces, as detect-secrets has
# them, take cubic time.
CLOSE = r"\??\*{0,2}(?:\\{0,8}[\"'`])?\]?"
TYPE = r"(?::[ \t]{0,4}(?:str|string|optional\[str\])(?: ?\| ?(?:none|null|undefined))?(?=[ \t]{0,4}=))?"
SIGN = r"(?P<sign>[ \t]{0,8}(?:=>|:=|={1,3}|:{1,2})\*{0,2}[ \t]{0,8}|>(?=[^<\s]{3,256}</)| {1,2})"
VALUE = (
    r"(?:[fbru]{0,2}(?P<quote>\\{0,8}[\"'`])(?!(?P=quote))(?P<quoted>[^\n\0]{1,1024}?)(?<!\\)(?P=quote)"
    r"|(?:\\{0,8}[\"'`])?(?P<bare>[^\s\"'`<>,;(){}\[\]&\\\0]{3,}+)(?P<call>[(\[])?)"
)
SUFFIX = (
    "(?:[_-]?(?:key|value|base|string|hash|new|old|confirm(?:ation)?|again|prod|dev|test|staging|live|main|primary"
    "|secondary|default|[0-9]{1,3})){0,3}"
)
# Each word by itself, not one pattern for all: a search for a fixed beginning is ten times as fast.
WORDS = (
    ("pass", "pass(?:word|wd|phrase|code)?"),
    ("pwd", "pwd"),
    ("secret", "secret"),
    ("token", "token"),
    ("key", "key"),
    ("credential", "credentials?"),
)
ASSIGNMENTS = tuple(
    (literal, re.compile(f"(?P<word>{word}){SUFFIX}{CLOSE}{TYPE}{SIGN}{VALUE}")) for literal, word in WORDS
)
LITERALS = ("key", "token", "secret", "pass", "pwd", "credential", "bearer", "authorization")
# The same in fewer passes, for long text.
ANY_LITERAL = (re.compile("p(?:ass|wd)"), re.compile("cre(?:t|dential)"), re.compile("k(?:ey|en)"))
NAME = re.compile(f"(?P<word>{'|'.join(word for _, word in WORDS)}|authorization){SUFFIX}$")
AUTHORIZATION = re.compile(
    rf"authorization{CLOSE}[ \t]{{0,8}}[:=][ \t]{{0,8}}[fb]?(?:\\{{0,8}}[\"'`])?"
    r"(?:(?:bearer|basic|token|digest|api-?key|bot|sharedkey|negotiate|aws4-hmac-sha256)(?: {1,3}|%20|\+))?"
    r"(?P<value>[^\s\"'`<>,;\\\0]{6,}+)"
)

# `key` alone is mostly a key of a dictionary; these make it a secret.
KEY_OF = (
    *("api", "access", "secret", "private", "auth", "encryption", "signing", "service", "account", "master", "ssh"),
    *("subscription", "storage", "deploy", "license", "shared", "session", "client", "db", "wandb"),
)
# `page_token` and `eos_token` are no secrets.
NO_TOKEN = (
    *("page", "next", "max", "min", "num", "stop", "start", "end", "eos", "bos", "pad", "unk", "sep", "cls", "mask"),
    *("special", "sync", "cursor", "continuation", "pagination", "total", "first", "last", "per"),
)
PASS_OF = ("_", "-", "db", "user", "smtp", "mysql", "root", "admin")

PLACEHOLDER = re.compile(
    r"(?:null|none|nil|undefined|true|false|n/?a|bearer|basic|digest|str|string|text|bytes|int|integer|number|bool"
    r"|boolean|object|any|optional.*|required|empty|missing|hidden|masked|redacted|removed|secret|passw(?:or)?d|token|key"
    r"|api[_-]?key|changeme|example|type|varchar.*|self"
    r"|<.*>|\$[a-z_({].*|\{.*\}|%[^%]*%|%s|\[[^\[\]]*\]|(.)\1*|your.*|https?://.*|.*\.\.\.|.*…|.*\*\*\*.*|.*xxxx.*"
    r"|(?:process|os|env|self|args|config|settings|st)\..*|(?:bearer|basic|token) +[<${%\[*].*)",
    re.IGNORECASE | re.DOTALL,
)
ENV_NAME = re.compile("[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
CALLED = re.compile("[A-Za-z_][A-Za-z0-9_.]*")
IDENTIFIER = re.compile("[A-Za-z_]+(?:[._][A-Za-z_]+)+")
WORD_END = re.compile("[A-Za-z0-9_]*+")
MARKER = re.compile(r"\[REDACTED:[a-z0-9-]{1,40}\]")


def redact(value: Any) -> Redacted:
    """`value` without secrets, in its dictionary keys too; the very same object where nothing was found."""
    if isinstance(value, str):
        return redact_text(value)
    found: Counter[str] = Counter()
    return Redacted(redacted(value, found), found)


def redacted(value: Any, found: Counter[str]) -> Any:
    """`redact`, which adds what it finds to `found`."""
    if isinstance(value, str):
        if len(value) <= REMEMBERED and not _redact_short(value).found:
            return value
        text = redact_text(value)
        if text.found:
            found.update(text.found)
        return text.value
    before = found.total()
    if isinstance(value, dict):
        clean: dict[Any, Any] = {}
        named_by = value.get("name", value.get("key")) if "value" in value else None
        for key, item in value.items():
            name = named_by if key == "value" and isinstance(named_by, str) else key
            new_item = _redacted_item(name, item, value, found)
            new_key = redacted(key, found) if isinstance(key, str) else key
            while new_key != key and (new_key in clean or new_key in value):  # two secrets as keys stay two
                new_key += "+"
            clean[new_key] = new_item
        return clean if found.total() > before else value
    if isinstance(value, list | tuple):
        items = [redacted(item, found) for item in value]
        return type(value)(items) if found.total() > before else value
    return value


def _redacted_item(name: Any, item: Any, siblings: dict[Any, Any], found: Counter[str]) -> Any:
    """The value of one dictionary item: as a whole where its key says that it is a secret."""
    kind = named_kind(name[-64:]) if isinstance(name, str) and isinstance(item, str) else None
    if kind is None:  # nearly always
        return redacted(item, found)
    inner = redact_text(item)
    if (kind == "token" and "logprob" in siblings) or not item.strip() or is_placeholder(item):
        if inner.found:
            found.update(inner.found)
        return inner.value
    kind = next(iter(inner.found), kind)
    found[kind] += 1
    return f"[REDACTED:{kind}]"


NOTHING: Counter[str] = Counter()
"""What most texts hold. Shared by their results, so nobody may add to it."""


def redact_text(text: str) -> Redacted:
    """`text` with each secret replaced; a secret that is found by its context is replaced wherever else it stands.

    JSON text in which escapes hide a secret is written again, with other escapes and spaces than it had.
    """
    if len(text) > REMEMBERED:
        return _redact_text(text)
    known = _redact_short(text)
    return known if known.found else Redacted(text, NOTHING)


@lru_cache(maxsize=2**14)
def _redact_short(text: str) -> Redacted:
    """Names, keys of objects and short answers come again and again."""
    return _redact_text(text)


def _redact_text(text: str) -> Redacted:
    value, found = _redact_plain(text)
    if ("\\u" not in text and "\\/" not in text) or text.lstrip()[:1] not in ("{", "["):
        return Redacted(value, found)
    for candidate in dict.fromkeys((value, text)):  # a replacement may have broken the JSON
        try:
            inner = redact(json.loads(candidate))
            if inner.found:
                again = _redact_plain(json.dumps(inner.value, ensure_ascii=False))
                earlier = found if candidate is value else Counter()
                return Redacted(again.value, earlier + inner.found + again.found)
            break
        except (ValueError, RecursionError):
            continue
    return Redacted(value, found)


def _redact_plain(text: str) -> Redacted:
    """`redact_text` for the text as it stands, until nothing more is found."""
    found = NOTHING
    for _ in range(ROUNDS):
        if len(text) < SHORTEST or not (spans := _spans(text)):
            break
        found = found or Counter()
        spans = merged(spans)
        spans = merged(spans + _repeated(text, spans))
        pieces, position = [], 0
        for start, end, _rank, kind in spans:
            pieces += [text[position:start], f"[REDACTED:{kind}]"]
            position = end
            found[kind] += 1
        text = "".join(pieces) + text[position:]
    return Redacted(text, found)


def merged(spans: list[Span]) -> list[Span]:
    """Sorted spans, the overlapping ones made one."""
    union: list[Span] = []
    for span in sorted(spans):
        if union and span.start < union[-1].end:
            best = min(union[-1], span, key=lambda each: each.rank)
            union[-1] = Span(union[-1].start, max(union[-1].end, span.end), best.rank, best.kind)
        else:
            union.append(span)
    return union


def _repeated(text: str, spans: list[Span]) -> list[Span]:
    """Where the values found stand a second time, without the context that gave them away."""
    values = {text[span.start : span.end]: span for span in spans if 6 <= span.end - span.start <= 512}
    again = []
    for value, span in list(values.items())[:PROPAGATED]:
        if not is_varied(value):  # a password that is a plain word stands everywhere
            continue
        start = text.find(value)
        while start >= 0:
            again.append(Span(start, start + len(value), span.rank, span.kind))
            start = text.find(value, start + len(value))
    return again


def _spans(text: str) -> list[Span]:
    """Every finding. The text is searched in ASCII, in which each other character is one `?`: word boundaries next to
    other scripts are then right, and positions stay those of the text, in lower case too."""
    flat = text if text.isascii() else text.encode("ascii", "replace").decode("ascii")
    if "[REDACTED:" in flat:  # what was redacted is never part of a finding
        flat = MARKER.sub(lambda match: "\0" * len(match.group()), flat)
    low = flat.lower()
    if len(flat) <= 512:
        # Looking at all words of a short text costs less than all gates, and no key has fewer than 20 characters.
        has_long_word = max(map(len, flat.split()), default=0) >= 20
        named = any(map(low.__contains__, LITERALS))
    else:
        has_long_word = True
        named = any(pattern.search(low) for pattern in ANY_LITERAL) or "bearer" in low or "authorization" in low
    spans: list[Span] = []
    if not (named or has_long_word or "@" in flat):
        return spans
    for rank, (literal, gate_pattern, shapes) in enumerate(SHAPES, 1):
        if has_long_word and literal in flat and gate_pattern.search(flat):
            for order, (kind, pattern, varied) in enumerate(shapes):
                spans += _shaped(flat, pattern, rank * 100 + order, kind, varied)
    if "@" in flat and "://" in flat:
        for match in URL_PASSWORD.finditer(flat):
            if not is_placeholder(match["value"]):
                spans.append(Span(*match.span("value"), 5000, "url-password"))
    if not named:
        return spans
    if "key" in low:
        spans += _private_keys(flat)
        if "aws" in low:
            spans += _shaped(flat, AWS_SECRET[0].pattern, 3000, AWS_SECRET[0].kind, False)
        if "accountkey" in low:
            spans += _shaped(flat, AZURE[0].pattern, 3001, AZURE[0].kind, False)
    if "bearer" in low:
        for match in BEARER.finditer(low):
            value = flat[match.start("value") : match.end("value")]
            if is_varied(value) and not is_placeholder(value):
                spans.append(Span(*match.span("value"), 5003, "bearer"))
    if "authorization" in low:
        for match in AUTHORIZATION.finditer(low):
            value = flat[match.start("value") : match.end("value")]
            if (is_varied(value) or len(value) >= 20) and not is_placeholder(value):
                spans.append(Span(*match.span("value"), 5002, "authorization"))
    for literal, pattern in ASSIGNMENTS:
        if literal in low:
            spans += _assigned(flat, low, pattern)
    return spans


def _shaped(flat: str, pattern: re.Pattern[str], rank: int, kind: str, varied: bool) -> Iterator[Span]:
    """The matches of a key's shape, grown to the end of their word: some shapes know only the keys of their day."""
    for match in pattern.finditer(flat):
        group = 1 if kind == "aws-secret-key" else 0
        start, end = match.span(group)
        value = flat[start:end]
        if kind == "artifactory":  # these matches include what delimits the key
            start += len(value) - len(value.lstrip(' \t\r\n\f\v=:"'))
            value = value.strip(' \t\r\n\f\v=:"')
            end = start + len(value)
            if not is_varied(value):
                continue
        elif kind not in ("slack-webhook", "aws-secret-key", "jwt"):
            grown = WORD_END.match(flat, end, end + EXTENDED)
            end = grown.end() if grown else end
        if len(set(value[-16:])) < 4 or "xxxx" in value.lower():  # "hf_xxxxxxxx" in a manual
            continue
        if not varied or any(character.isdigit() for character in value[4:]) and not is_kebab(value):
            yield Span(start, end, rank, kind)


def is_kebab(value: str) -> bool:
    """Whether `value` is words joined by dashes or underscores, with a number perhaps, such as a CSS class."""
    parts = re.split("[-_]", value[:512])
    return len(parts) > 3 and max(map(len, parts)) < 14 and value == value.lower()


def _private_keys(flat: str) -> Iterator[Span]:
    """Private keys from BEGIN to END, or to the end of the text where the END is missing."""
    for literal, pattern in (("PRIVATE KEY", BEGIN_KEY), ("PuTTY-User", BEGIN_PUTTY)):
        position = 0
        while literal in flat and (begin := pattern.search(flat, position)):
            dashes = flat[max(position, begin.start() - 6) : begin.start()]
            end = END_KEY.search(flat, begin.end())
            position = end.end() if end else len(flat)
            yield Span(
                begin.start() - len(dashes) + len(dashes.removesuffix(" ").rstrip("-")), position, 0, "private-key"
            )


def _assigned(flat: str, low: str, pattern: re.Pattern[str]) -> Iterator[Span]:
    """Values that a name says are secret. Names are read in lower case, values as they are."""
    for match in pattern.finditer(low):
        kind = word_kind(match["word"], low[max(0, match.start() - 24) : match.start()])
        if kind is None:
            continue
        group = "quoted" if match["quoted"] else "bare"
        start, end = match.span(group)
        value = flat[start:end]
        if is_placeholder(value):
            continue
        if group == "quoted":
            secret = match["sign"].strip() != "" and len(value) >= 3 and not (kind == "token" and value.isalpha())
            secret = secret or len(value) >= 20 and " " not in value and match["sign"].strip() != ""
            secret = secret or (match["sign"].strip() == "" and _is_option(low, match.start()) and len(value) >= 3)
        else:
            if match["sign"] != "=":  # in a sentence
                value = value.rstrip(".:")
                end = start + len(value)
            secret = len(value) >= 3 and _is_bare_secret(value, kind, match, low)
        if secret:
            yield Span(start, end, 9000, kind)


def _is_option(low: str, start: int) -> bool:
    """Whether the name at `start` belongs to a command-line option such as --db-password."""
    return re.search("--[a-z0-9-]{0,24}$", low[max(0, start - 26) : start]) is not None


def _is_bare_secret(value: str, kind: str, match: re.Match[str], low: str) -> bool:
    """Whether an unquoted value is a secret rather than code, a number or the next word of a sentence."""
    sign = match["sign"]
    if (match["call"] and CALLED.fullmatch(value)) or IDENTIFIER.fullmatch(value) or is_placeholder(value):
        return False
    if low[match.start("bare") - 1] in "\"'`":  # a quote that nothing closes: the text was cut
        return len(value) >= 4 and not (kind == "token" and value.isalpha())
    if match["word"] == "pwd" and value[0] in "/~":  # the working directory
        return False
    if value.isdigit():
        quoted_name = low[match.start("sign") - 1] in "\"'`"  # a JSON number
        return kind == "password" and len(value) >= 4 and not quoted_name
    if sign == ">":
        return True
    if sign.strip() == "":
        return _is_option(low, match.start()) and value[0] != "-" and len(value) >= 4 and not value.isalpha()
    if sign == "=":
        return len(value) >= 4 and (kind != "token" or not value.isalpha() or len(value) >= 16)
    return (len(value) >= 6 and is_varied(value)) or len(value) >= 20


def is_varied(value: str) -> bool:
    """Whether `value` mixes letters with digits, with signs, or capitals with others as no word does."""
    letters = [character for character in value if character.isalpha()]
    if any(character.isdigit() for character in value):
        return bool(letters)
    inner = value[1:]
    mixed = inner != inner.lower() and inner != inner.upper()
    return mixed or any(sign in value for sign in "!@#$%^*+=~")


def is_placeholder(value: str) -> bool:
    """Whether `value` only stands for a secret: <your-key>, ${TOKEN}, ***, null, a type, what was redacted before."""
    value = value.strip()
    return bool(PLACEHOLDER.fullmatch(value[:2048]) or ENV_NAME.fullmatch(value) or MARKER.search(value))


def word_kind(word: str, before: str) -> str | None:
    """The kind of secret that a name holds, from the word that was found and up to 24 characters before it."""
    stem = before.rstrip(" _-.")
    if word == "key":
        if not stem.endswith(KEY_OF):
            return None
        return "api-key" if stem.endswith("api") else "access-key" if stem.endswith("access") else "secret"
    if word == "token":
        return None if stem.endswith(NO_TOKEN) else "token"
    if word == "pass" and not before.endswith(PASS_OF):
        return None
    if word.startswith("pass") or word == "pwd":
        return "password"
    return "authorization" if word == "authorization" else "secret"


@lru_cache(maxsize=2**12)
def named_kind(name: str) -> str | None:
    """The kind of secret that a dictionary key names, such as "api-key" for `x-api-key`, `apiKey` and `API_KEY`.

    name: of a long one its last 64 characters.
    """
    low = name.strip().lower()
    if low == "pass":
        return "password"
    match = NAME.search(low)
    return word_kind(match["word"], low[: match.start()]) if match else None
