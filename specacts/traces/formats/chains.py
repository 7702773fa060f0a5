"""Rows of the OpenAI Responses interface that leave their beginning on the server, put together where a file has it.

    link(value)                     # the row's answer, what it goes on from, and its own items; None for other rows
    Chains().whole(value)           # the row with everything that was said before it, if the rows before it hold that

A row goes on from the answer that its `previous_response_id` names, or from the last one of its `conversation`.
"""

from collections import OrderedDict
from typing import Any, NamedTuple

from specacts.traces.formats.exchange import sides
from specacts.traces.formats.shape import fields, items
from specacts.traces.formats.unsupported import Named, Unsupported

BEFORE = "items before `previous_response_id`"
"""The field in which a row is given what was said before it."""
MOST = 2**17
"""Items that are remembered, of all rows together: what is older is forgotten."""
CHAINED = Unsupported(
    Named(
        "calls whose beginning is on the server (`previous_response_id`)",
        "keep the rows that they go on from above them in the same file, or log the whole input of every call",
    )
)


class Link(NamedTuple):
    """answer: the response's id. conversation, previous: what it belongs to, and goes on from; "" for none."""

    answer: str
    conversation: str
    previous: str
    items: list[Any]


def link(value: Any) -> Link | None:
    """How a row of the Responses interface is linked to others."""
    if not isinstance(value, dict):
        return None
    request, response = sides(value) or (value, value)
    request = value if is_flat(value) else request
    response = value if isinstance(value.get("output"), list) else fields(response)
    response = fields(response.get("body")) or response
    previous = _name(request.get("previous_response_id")) or _name(response.get("previous_response_id"))
    if "input" not in request or not (previous or isinstance(response.get("output"), list)):
        return None
    return Link(
        answer=_name(response.get("id")),
        conversation=_name(request.get("conversation")) or _name(response.get("conversation")),
        previous=previous,
        items=[*start(request), *items(response.get("output"))],
    )


def is_flat(value: dict[str, Any]) -> bool:
    """Whether the items of a request stand in the row itself."""
    return isinstance(value.get("input"), str | list)


def start(request: dict[str, Any]) -> list[Any]:
    """The items that a request gives."""
    given = request["input"]
    return [{"role": "user", "content": given}] if isinstance(given, str) else items(given)


def _name(value: Any) -> str:
    value = value.get("id") if isinstance(value, dict) else value
    return value if isinstance(value, str) else ""


class Chains:
    """What was said in a file's rows, as far as later ones may go on from it."""

    def __init__(self) -> None:
        self.rows: OrderedDict[str, Link] = OrderedDict()
        self.last: dict[str, str] = {}  # of each conversation the last answer
        self.held = 0

    def whole(self, value: Any) -> Any:
        """A row with what was said before it; itself where nothing was, or where that is not known."""
        found = link(value)
        if found is None:
            return value
        found = found._replace(previous=found.previous or self.last.get(found.conversation, ""))
        before = self._until(found.previous)
        if found.answer:
            self._remember(found)
        return {**value, BEFORE: before} if before else value

    def _until(self, answer: str) -> list[Any]:
        """Everything that was said up to an answer; nothing if a part of it is not here."""
        parts: list[list[Any]] = []
        seen: set[str] = set()
        while answer:
            row = self.rows.get(answer)
            if row is None or answer in seen:
                return []
            seen.add(answer)
            parts.append(row.items)
            answer = row.previous
        return [item for part in reversed(parts) for item in part]

    def _remember(self, found: Link) -> None:
        self.rows[found.answer] = found
        self.held += len(found.items)
        if found.conversation:
            self.last[found.conversation] = found.answer
        while self.held > MOST:
            _, oldest = self.rows.popitem(last=False)
            self.held -= len(oldest.items)
            if self.last.get(oldest.conversation) == oldest.answer:
                del self.last[oldest.conversation]
