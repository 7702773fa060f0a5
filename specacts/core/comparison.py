"""When the arguments of two calls are the same, by a rule for each argument.

    rules = {"body": Rule("text", 0.6), "items.price": Rule("number", 0.01), "request_id": Rule("ignore")}
    same_arguments(proposed, recorded, rules)

What no rule names is compared exactly: 1.0 is 1 and text is stripped, but True is not 1 and "1" is not 1. A rule holds
for the argument it names, or for what lies in an object at that path (`items.price`); lists are looked into, so that it
holds for each of their items. Each kind is about values of its own sort, and others are compared exactly:

 exact   equal
 number  differs from the recorded number by no more than that share of it; from 0 then, nothing but 0 is the same
 text    the words in common: token-level F1 as in SQuAD (`shared_words`), at or above that value
 ignore  whatever it is, also if one of the calls lacks it
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import inf
from typing import Any, Literal, NamedTuple, get_args

RuleKind = Literal["exact", "number", "text", "ignore"]
RULE_KINDS: tuple[RuleKind, ...] = get_args(RuleKind)


class Rule(NamedTuple):
    """How an argument is compared. value: of `number` the share, below 1, of `text` the least F1, else nothing."""

    kind: RuleKind
    value: float = 0.0


Rules = dict[str, Rule]
"""By the argument's name, or its path with dots between the names of nested objects."""
EXACT = Rule("exact")


class Compared(NamedTuple):
    """Two values at one place of two calls: the rule for it, whether they are the same by it, and whether equal."""

    kind: RuleKind
    same: bool
    equal: bool


def same_arguments(proposed: Mapping[str, Any], recorded: Mapping[str, Any], rules: Mapping[str, Rule]) -> bool:
    """Whether all arguments are the same, each by its rule."""
    if not rules:
        return _equal(canonical(proposed), canonical(recorded))
    return all(one.same for one in compared(proposed, recorded, rules))


def compared(proposed: Mapping[str, Any], recorded: Mapping[str, Any], rules: Mapping[str, Rule]) -> Iterator[Compared]:
    """Every place at which the arguments can differ."""
    return _compared(canonical(proposed), canonical(recorded), rules, "")


def canonical(value: Any) -> Any:
    """Arguments in a form where equal calls compare equal: 1.0 is 1, keys in any order, text stripped."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, dict):
        return {key: canonical(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    return value


def kinds_in(arguments: Mapping[str, Any], rules: Mapping[str, Rule]) -> set[RuleKind]:
    """The kinds of rules that a call's arguments fall under."""
    return {one.kind for one in compared(arguments, arguments, rules)}


def inside(path: str, key: str) -> str:
    """The path of what an object at a path holds under a key."""
    return f"{path}.{key}" if path else key


def _compared(a: Any, b: Any, rules: Mapping[str, Rule], path: str) -> Iterator[Compared]:
    rule = rules.get(path, EXACT)
    if rule.kind == "ignore":
        yield Compared("ignore", True, _equal(a, b))
    elif isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys()):
            place = inside(path, key)
            if key in a and key in b:
                yield from _compared(a[key], b[key], rules, place)
            else:
                kind = rules.get(place, EXACT).kind
                yield Compared(kind, kind == "ignore", False)
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for one, other in zip(a, b, strict=True):
            yield from _compared(one, other, rules, path)
    else:
        equal = _equal(a, b)
        yield Compared(rule.kind, equal or _close_enough(a, b, rule), equal)


def _equal(a: Any, b: Any) -> bool:
    """Deep equality of canonical values in which True is not 1: a tool that takes both tells them apart."""
    if isinstance(a, bool) != isinstance(b, bool):
        return False
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_equal, a, b))
    return bool(a == b)


def _close_enough(proposed: Any, recorded: Any, rule: Rule) -> bool:
    if rule.kind == "number" and _is_number(proposed) and _is_number(recorded):
        wanted = _exactly(recorded)
        return abs(_exactly(proposed) - wanted) <= _exactly(rule.value) * abs(wanted)
    if rule.kind == "text" and isinstance(proposed, str) and isinstance(recorded, str):
        return shared_words(proposed, recorded) >= rule.value
    return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < inf


def _exactly(value: int | float) -> Fraction:
    """The number as it is written: of floats, 1.01 would be more than a hundredth from 1, and 10**400 too large."""
    return Fraction(value) if isinstance(value, int) else Fraction(repr(value))


# -- words ----------------------------------------------------------------------------------------------------

NO_SPACES = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Scripts that put no spaces between words: Thai, Lao, Tibetan, Burmese, Khmer, Japanese, Chinese."""


def shared_words(one: str, other: str) -> float:
    """Token-level F1 of two texts [0, 1], as in SQuAD (https://arxiv.org/abs/1606.05250), for any language.

    That is twice the tokens in common over the tokens of both. Texts without any are 0 to each other.
    """
    a, b = Counter(words(one)), Counter(words(other))
    return 2 * (a & b).total() / max(1, a.total() + b.total())


def words(text: str) -> list[str]:
    """What a text says: in lower case, without punctuation, split at spaces.

    Of scripts without spaces each character counts, as in MLQA. Articles stay, which SQuAD strips: they are English.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(character for character in plain if not _is_punctuation(character))
    return NO_SPACES.sub(r" \g<0> ", kept).split()


def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")
