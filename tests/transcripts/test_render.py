"""One renderer: training and inference read the same tokens, labels are whole, text never becomes structure.

Every property holds for the compact template, for a chat template in Qwen3's style, and for `Action:` lines in chat
templates with and without tools of their own.
"""

import json
import unicodedata
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from toys import CHAT, COMPACT, TOOLS, call, compact_tokenizer, episode, qwen3_tokenizer, say, tool

from specacts.core.comparison import Rule
from specacts.core.episodes import Act, Action, Episode, Observation, Step, User, decisions
from specacts.core.errors import UserError
from specacts.core.words import OWN, SPEAKING
from specacts.transcripts.parse import UNNAMED, VERBS, read_line, read_reply
from specacts.transcripts.render import Renderer, cut_middle

LINES = CHAT.model_copy(update={"max_tokens": 2_000})
PLAIN_LINES = CHAT.model_copy(update={"max_tokens": 1_500})
"""The instructions of the forms without words are longer."""
thorough = hypothesis_settings(max_examples=75, deadline=None, derandomize=True, database=None)
EPISODES = [episode("long", 6), episode("short", 1)]


CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
"""A chat template that knows no tools, like SmolLM2's."""


FORMS = ("compact", "chat", "lines", "lines without tools")
NATURAL = ("tools", "no tools")


@pytest.fixture(scope="module")
def by_form(tmp_path_factory) -> dict[str, Renderer]:
    qwen3 = partial(qwen3_tokenizer, tmp_path_factory.mktemp("qwen3"))
    return {
        "compact": Renderer.load(compact_tokenizer(), COMPACT),
        "chat": Renderer.load(qwen3(), CHAT),
        "lines": in_lines(qwen3(), "lines", tools=True),
        "lines without tools": in_lines(qwen3(), "lines", tools=False),
        "tools": in_lines(qwen3(), "natural", tools=True),
        "no tools": in_lines(qwen3(), "natural", tools=False),
    }


@pytest.fixture(scope="module", params=FORMS)
def renderer(request, by_form) -> Renderer:
    return by_form[request.param]


@pytest.fixture(scope="module", params=NATURAL)
def natural(request, by_form) -> Renderer:
    return by_form[request.param]


@pytest.fixture(scope="module")
def renderers(by_form) -> list[Renderer]:
    """All at once, for what takes longer to make up than to render."""
    return [by_form[form] for form in FORMS]


def in_lines(tokenizer, form: str, tools: bool) -> Renderer:
    """A renderer of recipe v2, for a chat template with or without tools of its own."""
    if not tools:
        tokenizer.chat_template = CHATML
    return Renderer.load(tokenizer, LINES if tools else PLAIN_LINES, form)


def again(renderer: Renderer, **limits: int) -> Renderer:
    """The same renderer with other limits."""
    return Renderer.load(renderer.tokenizer, renderer.limits.model_copy(update=limits), renderer.form)


def until(whole: Episode, number: int) -> Episode:
    """What an agent knows at a decision: the steps before it, then some other action than the gold one."""
    step = decisions(whole)[number].step
    return whole.model_copy(update={"steps": (*whole.steps[:step], say("BLOCKED", "?"))})


# -- training and inference -----------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", EPISODES, ids=lambda e: e.id)
def test_an_agent_at_work_reads_the_tokens_that_were_trained_on(renderer, whole):
    trained = {point.decision: w.ids[: point.start] for w in renderer.windows(whole) for point in w.points}
    for number in trained:
        at_work = {p.decision: w.ids[: p.start] for w in renderer.windows(until(whole, number)) for p in w.points}
        assert at_work[number] == trained[number]


def test_no_model_reads_how_arguments_are_compared(renderer):
    whole = EPISODES[0]

    def with_rules(step: Step) -> Step:
        if not isinstance(step, Act) or step.action.tool is None:
            return step
        action = step.action.model_copy(update={"compare": {"rulename": Rule("text", 0.6)}})
        return step.model_copy(update={"action": action})

    ruled = whole.model_copy(update={"steps": tuple(map(with_rules, whole.steps))})
    assert any(d.gold.compare for d in decisions(ruled))
    assert [w.ids for w in renderer.windows(ruled)] == [w.ids for w in renderer.windows(whole)]
    assert [renderer.action_ids(d.gold) for d in decisions(ruled)] == [
        renderer.action_ids(d.gold) for d in decisions(whole)
    ]


@pytest.mark.parametrize("whole", EPISODES, ids=lambda e: e.id)
def test_every_label_is_whole_and_in_exactly_one_window(renderer, whole):
    windows = renderer.windows(whole)
    points = [(w, point) for w in windows for point in w.points]
    due = decisions(whole)
    assert [point.decision for _, point in points] == list(range(len(due)))
    for window, point in points:
        assert window.ids[point.start : point.end] == renderer.action_ids(due[point.decision].gold)
        assert window.ids[point.end - 1] == renderer.stop_id


@pytest.mark.parametrize("shrink", [1.0, 0.9, 0.8])
def test_a_window_is_no_longer_than_the_limit_and_starts_with_the_system_part(renderer, shrink):
    smaller = again(renderer, max_tokens=int(renderer.limits.max_tokens * shrink))
    windows = smaller.windows(EPISODES[0])
    assert len(windows) > 1
    system = smaller.system_ids(EPISODES[0])
    for window in windows:
        assert len(window.ids) <= smaller.limits.max_tokens
        assert window.ids[: len(system)] == system


def test_a_later_window_begins_with_the_user_message_of_its_turn(renderer):
    system = renderer.system_ids(EPISODES[0])
    users = [renderer.user_ids(step) for step in EPISODES[0].steps if isinstance(step, User)]
    for window in renderer.windows(EPISODES[0]):
        assert any(window.ids[len(system) :][: len(ids)] == ids for ids in users)


def test_standing_instructions_come_first_and_are_cut_to_their_limit(renderer):
    plain, told = EPISODES[1], EPISODES[1].model_copy(update={"system": "be brief " * 50})
    before, after = renderer.system_ids(plain), renderer.system_ids(told)
    breaks = 2 if renderer.frames.served else 0  # stand before them, and are not counted there
    assert len(after) == len(before) + renderer.limits.system_tokens + breaks
    wide = again(renderer, system_tokens=10_000)
    assert "be brief be brief" in renderer.tokenizer.decode(wide.system_ids(told))
    assert wide.system_ids(plain) == before


def test_a_turn_of_thousands_of_steps_is_cut_like_a_short_one(renderer):
    """Windows begin half full, however much there was before, so that a long turn is not read again at every step."""
    calls = [s for n in range(750) for s in (call("look", "file_read", n=n % 10), Observation(content="{}"))]
    long = Episode(id="x", group="x", source="toy", tools=TOOLS, steps=(User(content="go"), *calls[:-2], say()))
    only = [
        step.model_copy(update={"supervised": False}) if isinstance(step, Act) else step for step in long.steps[:-1]
    ]
    last = long.model_copy(update={"steps": (*only, long.steps[-1])})
    (window,) = renderer.windows(last)
    one_more = len(renderer.observation_ids("{}")) + len(renderer.executed_ids(calls[0].action))
    first = len(renderer.system_ids(last)) + len(renderer.user_ids(long.steps[0]))
    room = renderer.limits.max_tokens - renderer.limits.action_tokens - first
    assert room // 2 - one_more - 16 < window.points[0].start - first <= room // 2 + 8
    windows = renderer.windows(long)
    assert len(windows) > 25
    assert all(len(w.points) > 1 for w in windows[:-1])


def test_a_turn_too_long_for_a_window_loses_its_oldest_steps_and_keeps_its_user_message(renderer):
    steps = [User(content="go on")]
    for n in range(40):
        steps += [call("look", "file_read"), Observation(content=f"seen {n}")]
    windows = renderer.windows(Episode(id="e", group="e", source="toy", tools=TOOLS, steps=tuple(steps)))
    assert [p.decision for w in windows for p in w.points] == list(range(40))
    start = renderer.system_ids(EPISODES[0].model_copy(update={"withheld": ()})) + renderer.user_ids(steps[0])
    assert len(windows) > 1 and all(w.ids[: len(start)] == start for w in windows)


def test_what_can_never_fit_is_refused_with_episode_and_decision(renderer):
    with pytest.raises(UserError, match=r"episode long, decision 0: does not fit render\.max_tokens = 64"):
        again(renderer, max_tokens=64).windows(EPISODES[0])


def test_an_injected_fault_is_context_and_never_a_label(renderer):
    fault = renderer.action_ids(next(s.action for s in EPISODES[1].steps if isinstance(s, Act) and not s.supervised))
    (window,) = renderer.windows(EPISODES[1])
    assert contains(window.ids, fault)
    assert not any(contains(window.ids[p.start : p.end], fault) for p in window.points)


def contains(ids: list[int], part: list[int]) -> bool:
    return any(ids[n : n + len(part)] == part for n in range(len(ids)))


# -- tools and limits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_tool_listing_fits_its_budget(renderer, count):
    tools = [tool(f"tool{n}", *(f"parameter{k}" for k in range(6))) for n in range(count)]
    budget = renderer.limits.tools_tokens
    listing = renderer.listing(tools).text
    assert len(renderer.content(listing)) <= budget
    assert all(f"tool{n}" in listing for n in range(count))


def test_a_roomy_budget_lists_more_about_each_tool(renderer):
    roomy, poor = again(renderer, tools_tokens=10_000), again(renderer, tools_tokens=0)
    rich, bare = (one.listing(list(TOOLS)).text for one in (roomy, poor))
    assert len(rich) > len(bare)
    assert "source" in rich and "source" not in bare


def test_of_too_many_tools_the_first_keep_their_parameters_and_the_limit_is_kept(renderer):
    tools = tuple(tool(f"tool{n}", f"parameter{n}") for n in range(100))
    steps = (User(content="go"), call("tool50", "file_read", parameter50="x"), Observation(content="{}"), say())
    own = Episode(id="o", group="o", source=OWN, tools=tools, steps=steps)
    whole = again(renderer, tools_tokens=10**6, max_tokens=10**6)
    assert whole.system_ids(own) == whole.system_ids(own.model_copy(update={"source": "toy"}))  # where all fit
    cut = again(renderer, tools_tokens=600, max_tokens=2_500) if renderer.frames.served else renderer
    listing = cut.listing(list(tools), one_level=False)
    assert 0 < len(cut.content(listing.text)) <= cut.limits.tools_tokens
    assert "parameter0" in listing.described and "parameter99" not in listing.text and "tool99" not in listing.text
    text = cut.tokenizer.decode(cut.system_ids(own))
    assert listing.described in text and f" {listing.named}" in text.replace("\n", " ")
    assert [p.decision for w in cut.windows(own) for p in w.points] == [0, 1]


def test_what_a_listing_shows_of_its_tools_does_not_depend_on_what_the_agent_will_call(renderer):
    tools = tuple(tool(f"tool{n}", f"parameter{n}") for n in range(100))
    own = [
        Episode(id="o", group="o", source=OWN, tools=tools, steps=(User(content="go"), call(f"tool{n}"), say()))
        for n in (1, 90)
    ]
    assert renderer.system_ids(own[0]) == renderer.system_ids(own[1])


def test_tools_are_cut_one_by_one_and_not_all_at_once(renderer):
    tools = [tool(f"tool{n}", f"parameter{n}") for n in range(6)]
    whole = again(renderer, tools_tokens=10**6).listing(tools).text
    some = again(renderer, tools_tokens=len(renderer.content(whole)) - 1)
    listing = some.listing(tools, one_level=False).text
    assert all(f"tool{n}" in listing for n in range(6))
    assert [f"parameter{n}" in listing for n in range(6)] in ([True] * k + [False] * (6 - k) for k in range(2, 7))


@pytest.mark.parametrize("budget", [0, 1, 3, 7, 20])
def test_however_small_the_budget_it_is_kept(renderer, budget):
    tools = [tool(f"a tool (number {n})", "a", "b") for n in range(5)]
    small = again(renderer, tools_tokens=budget)
    assert len(small.content(small.listing(tools, one_level=False).text)) <= budget


def test_a_withheld_tool_is_not_offered_until_its_message(renderer):
    text = renderer.tokenizer.decode(renderer.system_ids(EPISODES[1]))
    assert "move" in text and "send" not in text
    said = renderer.tokenizer.decode(again(renderer, max_tokens=10**5).windows(EPISODES[0])[0].ids)
    if not renderer.frames.served:
        assert "new tools: send" in said
    else:  # as the template would have listed it
        assert f"New tools:\n{renderer.listing([TOOLS[2]]).described}<|im_end|>" in said
        assert '"parameters": {"type": "object", "properties": {"to"' in said


def test_long_text_is_cut_in_the_middle():
    assert cut_middle(list(range(8)), 8) == list(range(8))
    assert cut_middle(list(range(100)), 8) == [0, 1, 2, 3, 4, 5, 98, 99]
    assert cut_middle(list(range(100)), 3) == [0, 1, 2]


# -- actions and back -----------------------------------------------------------------------------------------

names = st.text(min_size=1, max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
calls = st.builds(
    Action,
    type=st.sampled_from([t for t in VERBS if t not in SPEAKING]),
    tool=names,
    arguments=st.dictionaries(st.text(max_size=8), values, max_size=4),
)
speech = st.builds(Action, type=st.sampled_from(sorted(SPEAKING)), content=st.text(max_size=20))


def normalized(renderer: Renderer, action: Action) -> Action:
    """Qwen3's tokenizer composes characters (NFC): that is all that may change on the way."""
    if renderer.tokenizer.backend_tokenizer.normalizer is None:
        return action
    return Action.model_validate_json(unicodedata.normalize("NFC", action.model_dump_json()))


@thorough
@given(action=calls | speech)
@example(action=Action(type="tool_call", tool="two words", arguments={" {": "} "}))
@example(action=Action(type="tool_call", tool='", "arguments": ', arguments={"<|im_end|>": "</tool_call>"}))
@example(action=Action(type="final_answer", content=" <|im_end|>\n<tool_call>"))
def test_an_action_survives_tokens_and_text(renderers, action):
    for renderer in renderers:
        ids = renderer.action_ids(action)
        assert ids.index(renderer.stop_id) == len(ids) - 1
        assert renderer.parse(renderer.text(ids)) == normalized(renderer, action)


@thorough
@given(verb=st.sampled_from(["", *VERBS.values()]), text=st.text(max_size=60))
def test_the_parser_never_raises_on_any_text(renderers, verb, text):
    for renderer in renderers:
        call = f"{renderer.frames.call[0]}{text}{renderer.frames.call[2]}"
        for candidate in (text, f"{verb} {text}", f"{verb}{call}", f"Action: repair\n{text}"):
            for found in (
                renderer.parse(candidate),
                read_reply(candidate),
                read_reply(f'{{"name": "f", "arguments": {text}'),
            ):
                assert found is None or isinstance(found, Action)


@thorough
@given(ids=st.lists(st.integers(0, 330), max_size=20))
def test_any_tokens_are_text(renderers, ids):
    for renderer in renderers:
        found = renderer.parse(renderer.text(ids))
        assert found is None or json.dumps(found.model_dump(mode="json"), allow_nan=False).encode()


def test_an_action_begins_with_what_says_its_type(renderer):
    for e in EPISODES:
        for window in renderer.windows(e):
            for point in window.points:
                gold = decisions(e)[point.decision].gold
                assert window.ids[point.start : point.typed] == renderer.opening_ids(gold)
                assert 0 < point.typed - point.start < point.end - point.start


def test_each_action_type_begins_with_a_token_of_its_own():
    renderer = Renderer.load(compact_tokenizer(), COMPACT)
    assert len(set(renderer.first_ids)) == 9
    for action_type, first in zip(VERBS, renderer.first_ids, strict=True):
        action = Action(type=action_type, tool=None if action_type in SPEAKING else "f", arguments={})
        assert renderer.action_ids(action)[0] == first


# -- recipe v2: trained in one form, asked in another ---------------------------------------------------------


def test_natural_transcripts_name_no_type_and_lines_name_every_one(natural):
    lines = Renderer.load(natural.tokenizer, natural.limits, "lines")
    instructions = len(natural.system_ids(EPISODES[0]))
    assert lines.system_ids(EPISODES[0]) == natural.system_ids(EPISODES[0])
    for e in EPISODES:
        for window in natural.windows(e):
            assert "Action:" not in natural.tokenizer.decode(window.ids[instructions:])
        for window in lines.windows(e):
            text = lines.tokenizer.decode(window.ids[instructions:])
            assert text.count("Action: ") >= len(window.points) > 0


def test_natural_context_is_what_the_chat_template_writes(natural):
    small = Episode(
        id="e",
        group="e",
        source="toy",
        tools=TOOLS[:1],
        steps=(
            User(content="please"),
            call("move", "file_write", source="a"),
            Observation(content="moved"),
            say("final_answer"),
        ),
    )
    (window,) = natural.windows(small)
    text = natural.tokenizer.decode(window.ids)
    called = f'{{"name": "move", "arguments": {{"source":{" " if natural.frames.served else ""}"a"}}}}'
    called = f"<tool_call>\n{called}\n</tool_call>" if natural.frames.served else called
    assert f"<|im_start|>assistant\n{called}<|im_end|>" in text
    assert text.endswith("<|im_start|>assistant\nDone.<|im_end|>")


@thorough
@given(action=calls | speech)
def test_a_proposal_is_a_line_and_is_read_back_from_it(by_form, action):
    for natural in (by_form[name] for name in NATURAL):
        text = natural.text(natural.action_ids(action))
        assert text.startswith(f"Action: {action.type}\n")
        assert read_line(text) == normalized(natural, action)


def test_only_free_replies_may_be_cut_short(renderer):
    text = renderer.text(renderer.action_ids(say("final_answer", "so far").action))
    assert renderer.parse(text) and renderer.parse(text, whole=False) is None


def test_a_question_without_a_confidence_does_not_speak_of_one(natural):
    asked = natural.tokenizer.decode(natural.verdict_query_ids(None))
    assert "ACCEPT or REJECT" in asked and "onfidence" not in asked
    assert "Confidence 4. Was" in natural.tokenizer.decode(natural.verdict_query_ids(0.42))


# -- text is never structure ----------------------------------------------------------------------------------


def spelled(text: str) -> Episode:
    """An episode with a text in every place that comes from outside."""
    steps = (
        User(content=text, new_tools=(text,)),
        call(text, "retrieval", **{text: [text]}),
        Observation(content=text),
        say("final_answer", text),
    )
    return Episode(id="e", group="e", source="toy", tools=(tool(text, text),), steps=steps)


def added(renderer: Renderer, ids: list[int]) -> list[int]:
    special = set(renderer.tokenizer.get_added_vocab().values()) | set(renderer.tokenizer.all_special_ids)
    return [token for token in ids if token in special]


def transcript(renderer: Renderer, text: str) -> list[int]:
    roomy = {"max_tokens": 20_000, "tools_tokens": 5_000, "user_tokens": 2_000, "observation_tokens": 2_000}
    (window,) = again(renderer, **roomy).windows(spelled(text))
    return window.ids


def test_the_spelling_of_a_special_token_stays_text_wherever_it_stands(renderer):
    plain = added(renderer, transcript(renderer, "harmless"))
    for token in renderer.tokenizer.get_added_vocab():
        for text in (token, f"x{token}assistant\n{token * 3}", f" {token} "):
            assert added(renderer, renderer.content(text)) == []
            assert added(renderer, transcript(renderer, text)) == plain


@thorough
@given(parts=st.lists(st.sampled_from(["<|im_start|>", "<|im_end|>", "<tool_call>", "a", " ", "\n", "<|", "|>"])))
def test_no_mixture_of_spellings_becomes_a_special_token(renderers, parts):
    for renderer in renderers:
        assert added(renderer, renderer.content("".join(parts))) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Action: file_read\ncat {"file":"a"}', Action(type="file_read", tool="cat", arguments={"file": "a"})),
        ('Action: file_read\n{"name": "cat", "arguments": {}}', Action(type="file_read", tool="cat")),
        ("Action: file_read\nI will look at it", Action(type="file_read", tool=UNNAMED)),
        ("Sure. Action: verifier", Action(type="verifier", tool=UNNAMED)),
        ("Action: final_answer\nIt is 3.", Action(type="final_answer", content="It is 3.")),
        ("Action: BLOCKED", Action(type="BLOCKED")),
        ('{"name": "cat", "arguments": {"file": "a"}}', Action(type="tool_call", tool="cat", arguments={"file": "a"})),
        ('I call <tool_call>{"name": "cat"}</tool_call>', Action(type="tool_call", tool="cat")),
        ("Which file do you mean?", Action(type="ask_clarification", content="Which file do you mean?")),
        ("It is done {really}.", Action(type="final_answer", content="It is done {really}.")),
        ("Action: dance\nnow", Action(type="final_answer", content="Action: dance\nnow")),
        ('{"name": 3}', Action(type="final_answer", content='{"name": 3}')),
        ("  \n", None),
    ],
)
def test_a_free_reply_is_read_by_rule(natural, text, expected):
    assert natural.parse(text, whole=False) == expected
