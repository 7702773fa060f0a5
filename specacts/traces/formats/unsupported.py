"""What is recognised and not read: its name, and how it becomes something that is.

    named(value)        # a `Named`, or None

Each is refused rather than read by halves: results are missing, or the actions are not calls of tools.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from specacts.traces.formats.shape import fields, from_text, is_message, items, objects

CODE_TOOLS = ("python_interpreter", "code_interpreter", "python")
CHAT = "as OpenAI chat `messages` (docs/own-traces.md)"


class Named(NamedTuple):
    """What something is, and what to do in order to have it read."""

    name: str
    how: str


class Unsupported(Exception):
    """An object that is recognised and not read."""

    def __init__(self, what: Named):
        super().__init__(f"{what.name}: not read; {what.how}")
        self.what = what


def named(value: Any) -> Named | None:
    """What an object is that no format reads."""
    if not isinstance(value, dict):
        return None
    return next((found for recognises, found in KINDS if recognises(value)), None)


def unknown(value: dict[str, Any] | list[Any]) -> Named:
    """What is in no format at all."""
    if isinstance(value, list):
        return Named("arrays that are no messages", f"write every conversation {CHAT}")
    names = ", ".join(f"`{name}`" for name in list(value)[:6])
    if where := _inside(value, 3).removesuffix(".input").removesuffix(".inputs").removesuffix(".request"):
        return Named("objects without `messages`", f"`{where}` holds some: write each of them as a line of its own")
    return Named("objects without `messages`", f"they hold {names or 'nothing'}; write every conversation {CHAT}")


def _inside(value: dict[str, Any], deepest: int) -> str:
    """Where in an object `messages` stand."""
    for name, item in value.items():
        inner = fields(objects(item)[0] if objects(item) else item)
        if isinstance(inner.get("messages"), list):
            return name
        if deepest and (found := _inside(inner, deepest - 1)):
            return f"{name}.{found}"
    return ""


def _has(*names: str) -> Callable[[dict[str, Any]], bool]:
    return lambda value: all(value.get(name) is not None for name in names)


def _blocks(value: dict[str, Any]) -> list[dict[str, Any]]:
    messages = objects(value.get("messages"))
    return [block for m in messages if isinstance(m.get("content"), list) for block in objects(m["content"])]


def _is_converse(value: dict[str, Any]) -> bool:
    return any("toolUse" in block or "toolResult" in block for block in _blocks(value))


def _is_ai_sdk(value: dict[str, Any]) -> bool:
    if any(str(block.get("type")).startswith("tool-") for block in _blocks(value)):
        return True
    messages = objects(value.get("messages"))
    return any("toolInvocations" in m or _has_parts(m) for m in messages)


def _has_parts(message: dict[str, Any]) -> bool:
    """Whether a message is one of the AI SDK's; Gemini's parts have no type."""
    return "role" in message and any("type" in part for part in objects(message.get("parts")))


def _is_gemini(value: dict[str, Any]) -> bool:
    messages = objects(value.get("messages"))
    return value.get("contents") is not None or any("role" in m and objects(m.get("parts")) for m in messages)


def _is_llama_index(value: dict[str, Any]) -> bool:
    return any("block_type" in block for m in objects(value.get("messages")) for block in objects(m.get("blocks")))


def _is_telemetry(value: dict[str, Any]) -> bool:
    if "resourceSpans" in value or "scopeSpans" in value:
        return True
    if any(
        "resource" in one and ("scopeSpans" in one or "instrumentationLibrarySpans" in one) for one in _batches(value)
    ):
        return True
    if any("traceID" in one and "spans" in one for one in objects(value.get("data"))):  # as Jaeger exports them
        return True
    attributes = value.get("attributes")
    names = [str(name) for name in fields(attributes)] + [str(one.get("key")) for one in objects(attributes)]
    is_span = bool({"spanId", "span_id", "traceId", "trace_id", "context"} & value.keys())
    return any(name.startswith(("gen_ai.", "llm.", "openinference.")) for name in names) or (is_span and bool(names))


def _batches(value: dict[str, Any]) -> list[dict[str, Any]]:
    return [*objects(value.get("batches")), value]


def _is_codex(value: dict[str, Any]) -> bool:
    return value.get("type") in CODEX and isinstance(value.get("payload"), dict)


def _is_preference(value: dict[str, Any]) -> bool:
    return ("chosen" in value and "rejected" in value) or "preferred_output" in value


def _is_request_alone(value: dict[str, Any]) -> bool:
    asked = isinstance(value.get("body"), dict) or isinstance(value.get("params"), dict)
    return "custom_id" in value and asked and not (value.get("response") or value.get("result"))


def _is_response_alone(value: dict[str, Any]) -> bool:
    if any(value.get(name) for name in ("request", "body", "params")):
        return False
    if "custom_id" in value and (isinstance(value.get("response"), dict) or isinstance(value.get("result"), dict)):
        return True
    if value.get("object") == "response" and "input" not in value:
        return True
    return isinstance(value.get("choices"), list) and "messages" not in value


def _is_smolagents(value: dict[str, Any]) -> bool:
    steps = objects(value.get("steps"))
    return bool(steps) and any({"observations", "code_action", "step_number", "model_output"} & s.keys() for s in steps)


def code_calls(value: Any) -> Named | None:
    """smolagents, where a conversation's calls hold Python in the place of arguments."""
    made = [fields(fields(one).get("function")) for m in _messages(value) for one in items(m.get("tool_calls"))]
    is_code = any(one.get("name") in CODE_TOOLS and _is_code(one.get("arguments")) for one in made)
    return CODE_STEPS if is_code else None


def _is_code(arguments: Any) -> bool:
    return isinstance(arguments, str) and bool(arguments.strip()) and from_text(arguments) is arguments


def _messages(value: Any) -> list[dict[str, Any]]:
    return objects(fields(value).get("messages"))


def _is_swe_agent(value: dict[str, Any]) -> bool:
    return any("action" in step and "observation" in step for step in objects(value.get("trajectory"))[:2])


def _is_events(value: dict[str, Any]) -> bool:
    events = objects(value.get("history")) or objects(value.get("events")) or [value]
    return any(
        event.get("source") in ("agent", "user", "environment") and ({"action", "observation"} & event.keys())
        for event in events[:3]
    )


def _is_template_text(value: dict[str, Any]) -> bool:
    text = value.get("text")
    return isinstance(text, str) and any(mark in text for mark in ("<|im_start|>", "[INST]", "<|start_header_id|>"))


def _is_text_pair(value: dict[str, Any]) -> bool:
    answers = [value.get(name) for name in ("completion", "response", "answer", "output")]
    return isinstance(value.get("prompt"), str) and any(isinstance(answer, str) for answer in answers)


def _is_lone_message(value: dict[str, Any]) -> bool:
    return is_message(value) and not items(value.get("messages")) and "traj" not in value and "steps" not in value


CODE_STEPS = Named("smolagents steps", f"write the agent's calls of tools {CHAT}; Python code is no call")
CODEX = ("session_meta", "response_item", "event_msg", "turn_context")
KINDS: tuple[tuple[Callable[[dict[str, Any]], bool], Named], ...] = (
    (
        _is_codex,
        Named(
            "Codex sessions",
            'put the `payload` of all `response_item` lines in one: {"input": [...]}, as Responses items',
        ),
    ),
    (_is_preference, Named("preference pairs", f"give the chosen conversations {CHAT}")),
    (_has("query", "answers"), Named("xLAM function calls without results", f"log whole conversations {CHAT}")),
    (
        _is_request_alone,
        Named("batch requests without answers", "join them by custom_id with the output: {request, response}"),
    ),
    (
        _is_response_alone,
        Named("answers without their requests", "join them with the requests: one {request, response} a line"),
    ),
    (_is_telemetry, Named("OpenTelemetry spans", f"turn them into ATIF with the package agentpile, or export {CHAT}")),
    (_is_converse, Named("Amazon Bedrock Converse messages", f"write toolUse and toolResult blocks {CHAT}")),
    (_is_ai_sdk, Named("Vercel AI SDK messages", f"log the requests that go to the model, or write the parts {CHAT}")),
    (_is_llama_index, Named("LlamaIndex messages", f"write their blocks and calls {CHAT}")),
    (_is_gemini, Named("Gemini contents", f"write functionCall and functionResponse parts {CHAT}")),
    (_is_smolagents, CODE_STEPS),
    (_is_swe_agent, Named("SWE-agent trajectories", "give the `history` or the model's requests, with calls of tools")),
    (_is_events, Named("OpenHands events", f"export the model's requests and responses, or {CHAT[3:]}")),
    (_is_template_text, Named("texts in a model's chat template", f"give what was templated {CHAT}")),
    (_has("instruction", "output"), Named("instructions and outputs (Alpaca)", f"log conversations {CHAT}")),
    (_is_text_pair, Named("pairs of texts without messages", f"log conversations {CHAT}")),
    (_is_lone_message, Named("one message a line", f"write one conversation a line {CHAT}")),
)
