"""How a conversation becomes tokens, for somebody without this repository: a bundle's `prompt_format.md`.

    text = prompt_format(bundle, {"cheap": renderer, "verifier": renderer})
    examples(text)[0]["context"]             # the golden example's token ids, read back

The words are in `templates/prompt_format.md.jinja`; literal text, limits and token ids are the renderers' own, and the
short program in the text makes the golden example's ids with nothing but the tokenizer's file. Tests run it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from specacts.core.episodes import Act, Action, Episode, Observation, Tool, User
from specacts.core.files import compact_json
from specacts.core.words import ACTION_TYPES, OWN, SPEAKING, Role
from specacts.recipe import shows_confidence
from specacts.serving.bundle import Bundle
from specacts.transcripts.parse import VERBS
from specacts.transcripts.render import VERDICTS, Renderer
from specacts.transcripts.served import messages, tools

CONFIDENCE = 0.72
"""Of the golden example's proposer; shown as the digit 7."""
PROPOSALS = (
    Action(type="repair", tool="get_order", arguments={"order_id": "A-17"}),
    Action(type="ask_clarification", content="Which order do you mean?"),
)
DUE = Act(action=Action(type="final_answer"))
"""Stands where the action is due; nothing of it is in the context."""


def example(source: str) -> Episode:
    """The golden example's conversation: something of everything, in few words."""
    order = {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}
    return Episode(
        id="golden",
        group="golden",
        source=source,
        system="Be brief.",
        tools=(Tool(name="get_order", description="Look up an order.", parameters=order), Tool(name="list_orders")),
        steps=(
            User(content="Where is order A-17?"),
            Act(action=Action(type="retrieval", tool="get_order", arguments={"order_id": 17})),
            Observation(content='{"error": "order_id is no string"}'),
            DUE,
        ),
    )


def golden(renderer: Renderer, source: str, judges: bool, confident: bool) -> dict[str, Any]:
    """Token ids of everything that models read and write at the example's one decision.

    judges: with what a judge reads behind a proposal; confident: where that shows the proposer's confidence.
    """
    roomy = renderer.limits.model_copy(update={"max_tokens": 100_000})  # one window, however wordy a chat template is
    (window,) = replace(renderer, limits=roomy).windows(example(source))
    found: dict[str, Any] = {
        "context": window.ids[: window.points[-1].start],
        "proposals": [renderer.proposal_ids(action) for action in PROPOSALS],
        "stop": renderer.stop_id,
        "first": dict(zip(VERBS.values(), renderer.first_ids, strict=True)),
    }
    if judges:
        found["query"] = renderer.verdict_query_ids(CONFIDENCE if confident else None)
        found["verdicts"] = {word: renderer.verdict_ids(right) for right, word in VERDICTS.items()}
    return found


def prompt_format(bundle: Bundle, renderers: Mapping[Role, Renderer]) -> str:
    """The page. renderers: of the roles that a policy asks, the cheap one's first."""
    confident = shows_confidence(bundle.recipe)
    shown = {
        role: golden(renderer, bundle.source, role == "verifier", confident) for role, renderer in renderers.items()
    }
    renderer = renderers["cheap"]
    episode, own = example(bundle.source), bundle.source == OWN
    told, described = renderer.system_texts(episode)
    served = renderer.frames.served
    asked = episode.model_copy(update={"steps": episode.steps[:-1]})
    values = {
        "bundle": bundle,
        "bases": {role: bundle.models[role].base for role in renderers},
        "forms": {role: one.form for role, one in renderers.items()},
        "compact": renderer.frames.plain_calls,
        "limits": renderer.limits,
        "frames": renderer.frames._asdict(),
        "verbs": VERBS,
        "speaking": [kind for kind in ACTION_TYPES if kind in SPEAKING],
        "own": own,
        "judges": "verifier" in renderers,
        "confident": confident,
        "confidence": CONFIDENCE,
        "episode": episode,
        "told": told,
        "listing": described if served else renderer.listing(list(episode.tools), one_level=not own).text,
        "messages": messages(renderer, asked) if served and renderer.form == "words" else [],
        "tools": tools(renderer, asked) if served else None,
        "proposals": [renderer.text(ids) for ids in shown["cheap"]["proposals"]],
        "golden": shown,
    }
    return _filled(values)


def examples(text: str) -> dict[str, Any]:
    """The golden example of a page, by role."""
    found = re.search(r"<!-- golden -->\n```json\n(.*?)\n```", text, re.DOTALL)
    assert found is not None, "the page holds no golden example"
    return json.loads(found[1])


def program(text: str) -> str:
    """The page's short program."""
    found = re.search(r"```python\n(.*?)\n```", text, re.DOTALL)
    assert found is not None, "the page holds no program"
    return found[1]


def _filled(values: Mapping[str, Any]) -> str:
    """The template with these values; a line that ends with a backslash goes on in the next one."""
    made = Environment(undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {"json": lambda value: json.dumps(value, ensure_ascii=False), "compact": compact_json}
    source = (Path(__file__).parent / "templates/prompt_format.md.jinja").read_text(encoding="utf-8")
    text = made.from_string(source).render(values)
    return re.sub(r" *\\\n *", " ", text).rstrip("\n") + "\n"
