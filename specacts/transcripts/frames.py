"""The literal text around each kind of content: named for a base, or cut out of its chat template.

    frames = compact_frames(tokenizer, texts)           # or chat_frames(tokenizer, INSTRUCTIONS)
    frames.observation                                  # ("<jupyter_output>", "")

The renderer (`render.py`) encodes them once and puts content between them.
"""

from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerFast

from specacts.config import FrameTexts
from specacts.core.errors import UserError

INSTRUCTIONS = (
    "You act for a user, one action a reply. Begin each reply with one word: "
    "call, search, read, write, fix or check before a tool call; ask if something is missing; "
    "done when the request is fulfilled; blocked if no tool can do it."
)
LINE_INSTRUCTIONS = (
    "You act for a user, one action a reply. Begin each reply with a line `Action: <type>`, the type being one of: "
    "tool_call (act on a service or compute), retrieval (look something up), file_read, file_write, repair (mend a "
    "call that failed), verifier (check something), ask_clarification, final_answer, BLOCKED (no tool can do it). On "
    "the next line give the tool and its arguments as JSON, or say what you have to say."
)
TOOL_MARK, ARGUMENTS_MARK = '{"MARKTOOL": 0}', '{"MARKARGUMENTS": 0}'
QUESTION = "Was that the right action? Reply ACCEPT or REJECT."


class Frames(NamedTuple):
    """Literal text (special tokens allowed) around content: (before, after).

    `system` stands before, between and after standing instructions and the list of tools, `alone` around instructions
    where there are no tools. `action` has no after: an action ends with `stop`. `verdict` stands around the proposer's
    confidence and ends where the verdict begins; `question` is the same without a confidence. `call` stands before,
    between and after a call's name and arguments. served: whether this is the model's own template for conversations
    with tools; then tools are listed as JSON definitions and not as signatures, and frames and content are encoded
    together, as a server does. plain_calls: whether a call is one natural piece of text, without special tokens inside.
    """

    system: tuple[str, str, str]
    alone: tuple[str, str]
    user: tuple[str, str]
    action: str
    observation: tuple[str, str]
    verdict: tuple[str, str]
    question: str
    call: tuple[str, str, str]
    stop: str
    served: bool
    plain_calls: bool


def compact_frames(tokenizer: PreTrainedTokenizerFast, texts: FrameTexts) -> Frames:
    """The frames that a scale names for a base, usually one special token each.

    Raises `UserError` for one that does not begin with a special token of the tokenizer, which no content can spell,
    for a stop that is more than one token, and for two frames that are the same.
    """
    name, known = tokenizer.name_or_path, set(tokenizer.get_added_vocab())
    named = texts.model_dump()
    for use, text in named.items():
        ids = tokenizer.encode(text, add_special_tokens=False) if text else []
        first = tokenizer.convert_ids_to_tokens(ids[:1])
        if not known.issuperset(first) or not first:
            raise UserError(
                f"{name}: render.frames: {use}: {text!r} does not begin with a special token of this tokenizer, which "
                "no text of a conversation could spell; name one, or write chat to use the model's own chat template"
            )
        if use == "stop" and len(ids) > 1:
            raise UserError(f"{name}: render.frames: stop: {text!r} is {len(ids)} tokens, and an action ends with one")
    if len(set(named.values())) < len(named):
        raise UserError(f"{name}: render.frames: each has to differ from the others: {named}")
    return Frames(
        system=(texts.system, "", ""),
        alone=(texts.system, ""),
        user=(texts.user, ""),
        action=texts.action,
        observation=(texts.observation, ""),
        verdict=("", texts.verdict),
        question=texts.verdict,
        call=(" ", " ", ""),
        stop=texts.stop,
        served=False,
        plain_calls=True,
    )


def chat_frames(tokenizer: PreTrainedTokenizerFast, instructions: str) -> Frames:
    """Frames cut out of the model's own chat template, with its tool-calling convention where it has one.

    A conversation of marks is rendered once and taken apart again. The final user message keeps templates
    that treat the latest assistant message differently (Qwen3 adds an empty thinking block there) from doing
    so: transcripts stay linear, without thinking (docs/decisions/0013-chat-template.md). A template that knows no tools
    gets them in its system message, and calls in its assistant messages as JSON. Raises `UserError` where the template
    cannot be taken apart.
    """
    call = {"type": "function", "function": {"name": "MARKNAME", "arguments": {"MARKARGUMENTS": 0}}}
    system = f"{instructions}MARKSYSTEM"
    frames = _cut_frames(tokenizer, system, {"content": "MARKVERB", "tool_calls": [call]}, [{"MARKTOOL": 0}])
    if frames in (TOOL_MARK, "MARKNAME", ARGUMENTS_MARK):
        listing = f"{system}\n\nTools:\n{TOOL_MARK}"
        spelled = f'MARKVERB {{"name": "MARKNAME", "arguments": {ARGUMENTS_MARK}}}'
        frames = _cut_frames(tokenizer, listing, {"content": spelled}, None)
    if isinstance(frames, str):
        raise UserError(f"{tokenizer.name_or_path}: its chat template drops or reorders {frames}; use another model")
    return frames


def _cut_frames(
    tokenizer: PreTrainedTokenizerFast, system: str, call: dict[str, Any], tools: list[Any] | None
) -> Frames | str:
    """The frames, or the first mark that the rendered conversation lacks in its place."""
    name = tokenizer.name_or_path
    messages = [
        {"role": "system", "content": system},
        {"role": "user", "content": "MARKUSER"},
        {"role": "assistant", **call},
        {"role": "tool", "name": "MARKNAME", "content": "MARKOBSERVATION"},
        {"role": "assistant", "content": "MARKDONE"},
        {"role": "user", "content": f"Confidence MARKCONFIDENCE. {QUESTION}"},
        {"role": "assistant", "content": "MARKVERDICT"},
        {"role": "user", "content": "MARKEND"},
    ]
    try:
        text = tokenizer.apply_chat_template(messages, tools=tools, tokenize=False)
        toolless = tokenizer.apply_chat_template(messages[:2], tools=None, tokenize=False)
    except Exception as error:  # templates raise whatever they like
        raise UserError(f"{name}: its chat template does not render a tool-calling conversation ({error})") from error
    marks = ["MARKSYSTEM", TOOL_MARK, "MARKUSER", "MARKVERB", "MARKNAME", ARGUMENTS_MARK]
    marks += ["MARKOBSERVATION", "MARKDONE", "MARKCONFIDENCE", "MARKVERDICT", "MARKEND"]
    pieces: list[str] = []
    rest = text
    for mark in marks:
        before, found, rest = rest.partition(mark)
        if not found:
            return mark
        pieces.append(before)
    stop = tokenizer.eos_token

    def around_stop(number: int) -> tuple[str, str]:
        """A piece between two marks, parted behind the token that ends the first one's message."""
        before, found, after = pieces[number].partition(stop)
        if not found:
            raise UserError(f"{name}: its chat template does not end a message with {stop} before {marks[number]}")
        return before, after

    system_after, user_before = around_stop(2)
    user_after, action_before = around_stop(3)
    call_after, observation_before = around_stop(6)
    observation_after, _ = around_stop(7)
    _, question_before = around_stop(8)
    listed = (pieces[0], pieces[1], system_after + stop)
    before, _, after = toolless.partition("MARKSYSTEM")
    return Frames(
        system=listed,
        alone=(before, after.partition(stop)[0] + stop) if tools else (listed[0], listed[1] + listed[2]),
        user=(user_before, user_after + stop),
        action=action_before,
        observation=(observation_before, observation_after + stop),
        verdict=(question_before, pieces[9]),
        question=question_before.removesuffix("Confidence ") + pieces[9].removeprefix(". "),
        call=(pieces[4], pieces[5], call_after),
        stop=stop,
        served=tools is not None,
        plain_calls=False,
    )
