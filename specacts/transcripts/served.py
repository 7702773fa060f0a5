"""A conversation as a client sends it to a server with the model's own chat template, and whether that server reads it.

    messages(renderer, episode), tools(renderer, episode)    # for /v1/chat/completions, of adapters of the form `words`
    require_served(renderer)                                 # the template makes of them what the renderer makes

That a server reads the tokens that were trained is what makes an adapter usable without this repository. Three things
differ where they have to. A text that spells a special token is text here and a token there; send token ids then. A
tool's name with quotes or control characters is JSON here and is not there. And where a conversation is longer than
`max_tokens`, a client has to leave out what the renderer leaves out.
"""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from specacts.core.episodes import Act, Action, Episode, Observation, Tool, User
from specacts.core.errors import UserError
from specacts.transcripts.frames import INSTRUCTIONS

if TYPE_CHECKING:
    from specacts.transcripts.render import Renderer

SAMPLE = Episode(
    id="sample",
    group="sample",
    source="own",
    system="Be brief.\n\n- no lists",
    tools=(Tool(name="get_order", description='Look "it" up.', parameters={"type": "object"}), Tool(name="later")),
    withheld=("later",),
    steps=(
        User(content="\n where is 17? "),
        Act(action=Action(type="retrieval", tool="get_order", arguments={"{id": ["ü", 17, {}]})),
        Observation(content='\n{"at": "home"}'),
        Act(action=Action(type="final_answer", content=" 'At' home.\n")),
        User(content="", new_tools=("later",)),
        Act(action=Action(type="BLOCKED")),
        User(content="(thanks)"),
    ),
)
"""Something of everything, with what tokenizers like to join at its ends."""


def messages(renderer: "Renderer", episode: Episode) -> list[dict[str, Any]]:
    """The messages as the API has them, the models' instructions included."""
    found: list[dict[str, Any]] = [{"role": "system", "content": INSTRUCTIONS + renderer.system_texts(episode)[0]}]
    called = ""
    for number, step in enumerate(episode.steps):
        if isinstance(step, User):
            found.append({"role": "user", "content": renderer.user_text(step, episode.tools)})
        elif isinstance(step, Observation):
            text = renderer.shortened(step.content, renderer.limits.observation_tokens)
            found.append({"role": "user", "content": text})
            if called:
                found[-1] |= {"role": "tool", "tool_call_id": called}
        else:
            found.append(_reply(renderer, step.action, f"call_{number}"))
        called = f"call_{number}" if isinstance(step, Act) and step.action.tool is not None else ""
    return found


def _reply(renderer: "Renderer", action: Action, name: str) -> dict[str, Any]:
    reply: dict[str, Any] = {"role": "assistant", "content": renderer.spoken_text(action)}
    if action.tool is not None:
        call = {"name": action.tool, "arguments": json.dumps(action.arguments, ensure_ascii=False)}
        reply["tool_calls"] = [{"id": name, "type": "function", "function": call}]
    return reply


def tools(renderer: "Renderer", episode: Episode) -> list[dict[str, Any]] | None:
    """The definitions of the tools that are described from the start; None if there are none."""
    lines = renderer.system_texts(episode)[1]
    return [json.loads(line) for line in lines.split("\n")] if lines else None


def read_by_server(renderer: "Renderer", episode: Episode) -> list[int]:
    """The tokens that a server makes of the conversation when the next action is due.

    Like vLLM it reads arguments before it gives them to the template (benchmarks/served_prompts.py asks one).
    """
    sent = messages(renderer, episode)
    for message in sent:
        for call in message.get("tool_calls", []):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    text = renderer.tokenizer.apply_chat_template(
        sent, tools=tools(renderer, episode), tokenize=False, add_generation_prompt=True
    )
    return renderer.tokenizer.encode(text, add_special_tokens=False)


def require_served(renderer: "Renderer") -> None:
    """Raises `UserError` where a server with the model's chat template would read other tokens than are trained."""
    roomy = {"max_tokens": 10**6, "system_tokens": 10**4, "tools_tokens": 10**5}
    wide = replace(renderer, limits=renderer.limits.model_copy(update=roomy))
    due = SAMPLE.model_copy(update={"steps": (*SAMPLE.steps, Act(action=Action(type="final_answer")))})
    (window,) = wide.windows(due)
    if window.ids[: window.points[-1].start] != read_by_server(wide, SAMPLE):
        raise UserError(
            f"{renderer.tokenizer.name_or_path}: a server with its chat template would read other tokens than would be "
            "trained (such a template prefills replies, or its tokenizer joins text across messages); name frames in "
            "render.frames instead of chat, or use another model"
        )
