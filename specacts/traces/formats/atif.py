"""ATIF, the agent trajectory interchange format, versions 1.0 to 1.8 (tests hold its own models to our examples).

Results stand in the step of their calls. Steps that were copied from an earlier trajectory (`is_copied_context`), and
steps that no model decided (`llm_call_count` of 0), are context. Trajectories of subagents are conversations of their
own only where they stand in a file of their own. A step's `timestamp` does not say whether its tools had run by then,
so only latencies in `metrics` and `extra` are read.
"""

from collections import Counter
from typing import Any

from specacts.traces import timing
from specacts.traces.formats.shape import Chat, call, fields, items, kept, objects, result, said

NAME = "ATIF"
ROLES = {"user": "user", "system": "system"}


def recognises(value: dict[str, Any]) -> bool:
    version = value.get("schema_version")
    steps = value.get("steps")
    return isinstance(steps, list) and (
        (isinstance(version, str) and version.upper().startswith("ATIF"))
        or (bool(steps) and all(isinstance(s, dict) and "step_id" in s and "source" in s for s in steps))
    )


def to_chat(value: dict[str, Any], noted: Counter[str]) -> Chat:
    messages: list[Any] = []
    for step in items(value["steps"]):
        messages += _messages(step, noted) if isinstance(step, dict) else [step]
    agent = fields(value.get("agent"))
    if subagents := items(value.get("subagent_trajectories")):
        noted["trajectories of subagents left out"] += len(subagents)
    names = {name: value[key] for name, key in (("id", "trajectory_id"), ("group", "session_id")) if value.get(key)}
    return {**kept({**value, "tools": agent.get("tool_definitions")}), **names, "messages": messages}


def _messages(step: dict[str, Any], noted: Counter[str]) -> list[Any]:
    source, content = step.get("source"), step.get("message")
    if source != "agent":
        return [{"role": ROLES.get(str(source), source), "content": content}]
    made = objects(step.get("tool_calls"))
    calls = [call(one.get("tool_call_id"), one.get("function_name"), one.get("arguments")) for one in made]
    more: dict[str, Any] = {"usage": step["metrics"]} if step.get("metrics") else {}
    if seconds := timing.seconds_of({name: step.get(name) for name in ("metrics", "extra")}, noted):
        more["seconds"] = seconds
    if step.get("is_copied_context") or step.get("llm_call_count") == 0:
        more["weight"] = 0
    results = objects(fields(step.get("observation")).get("results"))
    messages = [said(content, calls, **more)]
    for one in results:
        extra = fields(one.get("extra"))
        if not calls:
            noted["observations of no call left out"] += 1
        else:
            failed = True in (extra.get("is_error"), one.get("is_error")) or extra.get("status") == "error" or None
            messages.append(result(one.get("source_call_id"), one.get("content"), failed))
    return messages
