"""Trajectories of tau-bench (`traj`) and results of tau2-bench (`simulations` of `messages`).

The reward goes along, and all trials of a task are one group. In tau2 the simulated user may call tools of its own:
those calls and their results are the user's, not the agent's, and left out.
"""

from collections import Counter
from typing import Any

from specacts.traces import timing
from specacts.traces.formats.shape import Chat, call, fields, items, kept, objects, result, said

NAME = "tau-bench results"


def recognises(value: dict[str, Any]) -> bool:
    if isinstance(value.get("traj"), list):
        return True
    messages = value.get("messages")
    return isinstance(messages, list) and "task_id" in value and any(_is_tau2(message) for message in messages)


def _is_tau2(message: Any) -> bool:
    return isinstance(message, dict) and ("turn_idx" in message or "requestor" in message)


def to_chat(value: dict[str, Any], noted: Counter[str]) -> Chat:
    if isinstance(value.get("traj"), list):
        found = kept({"reward": value.get("reward"), "tools": value.get("tools")})
        return {**found, **_group(value), "messages": value["traj"]}
    info = fields(value.get("info"))
    environment = fields(info.get("environment_info"))
    messages: list[Any] = []
    if isinstance(environment.get("policy"), str):
        messages.append({"role": "system", "content": environment["policy"]})
    users: set[str] = set()
    for message in items(value["messages"]):
        messages += _message(message, users, noted) if isinstance(message, dict) else [message]
    reward = fields(value.get("reward_info")).get("reward")
    tools = value.get("tools") or environment.get("tool_defs")
    found = kept({"id": value.get("id"), "reward": reward, "tools": tools})
    return {**found, **_group(value), "messages": messages}


def _group(value: dict[str, Any]) -> Chat:
    task = value.get("task_id")
    return {"group": f"task {task}"} if isinstance(task, str | int) else {}


def _message(message: dict[str, Any], users: set[str], noted: Counter[str]) -> list[Any]:
    made = objects(message.get("tool_calls"))
    role, at = message.get("role"), timing.kept(message, noted)
    if role == "user" and made:
        users.update(str(one.get("id")) for one in made)
        noted["calls of the simulated user left out"] += len(made)
        return [{"role": "user", "content": message["content"], **at}] if message.get("content") else []
    if role == "tool":
        parts = objects(message.get("tool_messages")) or [message]
        mine = [part for part in parts if part.get("requestor") != "user" and str(part.get("id")) not in users]
        return [
            {**result(part.get("id"), part.get("content"), part.get("error")), **at, **timing.kept(part, noted)}
            for part in mine
        ]
    if role != "assistant":
        return [{"role": role, "content": message.get("content"), **at}]
    calls = [call(one.get("id"), one.get("name"), one.get("arguments")) for one in made]
    more = {"usage": message["usage"]} if message.get("usage") else {}
    return [said(message.get("content"), calls, **more, **at)]
