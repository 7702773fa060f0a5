"""A conversation of an agent with a shop, a cheap model that knows it by heart, and a gateway in front of both.

    folder = save_shop(tmp_path)                     # the bundle's own folder
    bundle = shop_bundle(folder, config)
    request(2)                                       # the body that asks for the third action
    ACTIONS[2]                                       # which that is

The cheap model has learnt all of the conversation but for its last action, so there it is not sure of anything.
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from bundles import make_bundle, teach
from toys import compact_tokenizer, llama, save_base

from specacts.config import Config
from specacts.core.episodes import Act, Action, Episode
from specacts.serving.bundle import Bundle
from specacts.serving.conversations import Conversations
from specacts.serving.requests import Reading
from specacts.serving.watch import Terms, Watch, load
from specacts.traces.tool_types import TypeMap

LOOK = {
    "name": "get_order",
    "description": "Look up an order.",
    "parameters": {"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]},
}
CANCEL = {
    "name": "cancel_order",
    "description": "Cancel an order.",
    "parameters": {
        "type": "object",
        "properties": {"order": {"type": "integer"}, "why": {"type": "string"}},
        "required": ["order"],
        "additionalProperties": False,
    },
}
TOOLS = [{"type": "function", "function": one} for one in (LOOK, CANCEL)]


def _call(key: str, name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": key, "type": "function", "function": function}]}


MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "You help."},
    {"role": "user", "content": "cancel 7 please"},
    _call("call_1", "get_order", '{"order": 7}'),
    {"role": "tool", "tool_call_id": "call_1", "content": "open"},
    _call("call_2", "cancel_order", '{"order": 7}'),
    {"role": "tool", "tool_call_id": "call_2", "content": "ok"},
    {"role": "assistant", "content": "Order 7 is gone."},
    {"role": "user", "content": "and 8"},
    _call("call_3", "get_order", '{"order": 8}'),
]
ACTIONS = (
    Action(type="retrieval", tool="get_order", arguments={"order": 7}),
    Action(type="tool_call", tool="cancel_order", arguments={"order": 7}),
    Action(type="final_answer", content="Order 7 is gone."),
    Action(type="retrieval", tool="get_order", arguments={"order": 8}),
)
PLACES = [number for number, message in enumerate(MESSAGES) if message["role"] == "assistant"]


def request(number: int, **changed: Any) -> dict[str, Any]:
    """The body that asks for the conversation's action of this number."""
    return {"model": "big", "messages": MESSAGES[: PLACES[number]], "tools": TOOLS, **changed}


def save_shop(root: Path) -> Path:
    """The models' folder; returns the bundle's own."""
    save_base(root / "base/cheap", compact_tokenizer(), knowing())
    (root / "policy").mkdir()
    (root / "policy/action_types.yaml").write_text("cancel_order: tool_call\n", encoding="utf-8")
    return root / "policy"


def shop_bundle(folder: Path, config: Config, **changed: Any) -> Bundle:
    return make_bundle(folder, config, **{"files": {}, **changed})


@cache
def knowing(steps: int = 60) -> torch.nn.Module:
    """A model that knows the conversation's first three actions by heart."""
    return teach(llama(compact_tokenizer(), seed=0), known(), steps)


def known() -> Episode:
    """The conversation as far as the model knows it."""
    body = request(2)
    asked = Reading(TypeMap({"cancel_order": "tool_call"}, {}), "own").read(
        body, Conversations().place(body["messages"])
    )
    return asked.episode.model_copy(update={"steps": (*asked.episode.steps, Act(action=ACTIONS[2]))})


def watching(path: Path, limit: float | None = None, stopped: bool = False) -> Watch:
    watch = load(path / "watch.json", Terms(promise="p", limit=limit, confidence=0.9, most_counted=8), 0.0)
    return Watch(watch.state().model_copy(update={"stopped": 5.0})) if stopped else watch
