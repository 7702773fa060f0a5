"""Policies live on real simulators: what succeeds, what fails, what is asked and paid for, and in which contexts."""

import json
import re
import shutil
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import pytest
import torch
from factories import SIZES, TARIFF, candidate
from peft import LoraConfig, get_peft_model
from places import ROOT, copy_configuration
from toys import (
    CHAT,
    call,
    compact_tokenizer,
    fresh,
    llama,
    qwen3,
    qwen3_tokenizer,
    renderer,
    reward_model,
    save_base,
    say,
)

from specacts.answering.ask import batches, read
from specacts.answering.records import Verdict
from specacts.answering.roles import Voice, asking
from specacts.answering.session import Session
from specacts.bfcl.simulator import CLASSES, Simulator
from specacts.bfcl.tasks import collect
from specacts.core.episodes import Act, Action, Episode, Observation, User, decisions, save_episodes
from specacts.core.errors import UserError
from specacts.core.files import read_json, read_jsonl, write_json
from specacts.core.forks import FORKS
from specacts.core.journal import Journal
from specacts.core.observations import EXECUTION_ERROR
from specacts.live import room
from specacts.live.agents import ASKED, FAILURES, Agent, Attempt, Models, Row, Trunk, context, decide, run, written
from specacts.live.metrics import LiveMetrics, line
from specacts.live.remembered import Remembered
from specacts.live.tasks import Assignment, assignment, assignments
from specacts.policies.combine import VERIFIER_ALONE
from specacts.policies.cost import flops, price, total
from specacts.policies.decide import GREEDY, Outcome, act, cheap_only
from specacts.policies.results import Thresholds
from specacts.policies.router import Router
from specacts.policies.table import JUDGING
from specacts.transcripts.render import Renderer
from stages import live as live_stage
from stages.answer import ask as ask_recorded

FILES = {"home": {"type": "directory", "contents": {"a.txt": {"type": "file", "content": "hello"}}}}
ROW = {"involved_classes": ["GorillaFileSystem"], "initial_config": {"GorillaFileSystem": {"root": FILES}}}
TOUCH, CAT, RM = call("touch", file_name="b.txt"), call("cat", file_name="a.txt"), call("rm", file_name="b.txt")
LS, DONE, ASK = call("ls"), say("final_answer"), say("ask_clarification")
HELLO = Observation(content='{"file_content": "hello"}')
NONE = Observation(content="None")
THRESHOLDS = Thresholds(policies=dict.fromkeys(JUDGING, 0.5), most_accurate="D", best_other="E")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Toy models have nothing to share: on a busy machine threads would wait for each other most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# -- helpers: tasks, and what stands at the models' place -----------------------------------------------------


def recorded(steps: tuple, name: str = "toy") -> Episode:
    return Episode(id=name, group=f"group of {name}", source="multi_turn_base", tools=(), steps=steps)


EPISODE = recorded(
    (
        User(content="make b and show me a"),
        *(TOUCH, NONE, CAT, HELLO, DONE),
        User(content="remove it"),
        ASK,
        User(content="b, I mean; and show me a again"),
        *(
            call("cat", file_name="z").model_copy(update={"supervised": False}),
            Observation(content='{"error": "no z"}'),
        ),
        *(RM, Observation(content='{"result": "\'b.txt\' removed"}'), CAT, HELLO, DONE),
    )
)
RIGHT = [TOUCH, CAT, DONE, ASK, RM, CAT, DONE]


@pytest.fixture
def task(simulator) -> Assignment:
    return assignment(EPISODE, ROW, simulator)


def planned(*acts: Act | None) -> list[Action | None]:
    return [act and act.action for act in acts]


def scripted(plans: dict[str, list[Action | None]], text: str = "gibberish") -> Callable:
    """Stands at the cheap model's place: says what each episode's plan has next, behind ever longer contexts."""

    def ask(field: str, agents: list[Agent]) -> list:
        assert field == "cheap"
        for agent in agents:
            noted(agent, "cheap", 100 * (agent.row.decision + 1))
        plan = [plans[agent.task.episode.id][agent.row.decision] for agent in agents]
        return [(candidate(action, text=text),) for action in plan]

    return ask


def noted(agent: Agent, role: str, tokens: int) -> None:
    agent.row.context[role], agent.row.window[role], agent.row.seconds_per_token[role] = tokens, 0, 0.001


def attempted(task: Assignment, simulator: Simulator, *acts: Act | None, limit: int = 20, text: str = "") -> Attempt:
    """What comes of doing `acts` (None: a malformed reply)."""
    ask = scripted({task.episode.id: planned(*acts)}, text)
    (attempt,) = run(cheap_only, [Agent("B", task, TARIFF, limit)], [simulator], ask)
    return attempt


# -- success --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def traces(bfcl, config) -> Callable[[float], list[Episode]]:
    """Real multi-turn tasks of all variants, replayed with a share of faults."""

    @cache
    def made(fault_rate: float) -> list[Episode]:
        nothing = config.scale.data.single_turn.model_copy(
            update=dict.fromkeys(type(config.scale.data.single_turn).model_fields, 0)
        )
        data = config.scale.data.model_copy(update={"tasks": 4, "single_turn": nothing, "fault_rate": fault_rate})
        return collect(bfcl, data, 0, ROOT / "configs/action_types/bfcl.yaml").episodes

    return made


def without_faults(episode: Episode) -> tuple:
    """The steps of an episode that no injected fault was put into."""
    faults = {n for n, step in enumerate(episode.steps) if isinstance(step, Act) and not step.supervised}
    return tuple(step for n, step in enumerate(episode.steps) if n not in faults and n - 1 not in faults)


def test_the_right_actions_succeed_in_every_turn_of_every_task(traces, bfcl, simulator):
    episodes = traces(0.3)
    assert any(without_faults(episode) != episode.steps for episode in episodes)
    tasks = assignments(episodes, bfcl, 30)
    plans = {e.id: [d.gold for d in decisions(e)] for e in episodes}
    agents = [Agent("B", task, TARIFF, limit=20) for task in tasks]
    attempts = {a.episode: a for a in run(cheap_only, agents, [simulator], scripted(plans))}
    for episode in episodes:
        attempt = attempts[episode.id]
        assert all(attempt.turns) and attempt.given_up is None and attempt.group == episode.group
        assert attempt.steps == without_faults(episode)
        assert len(attempt.turns) == sum(isinstance(step, User) for step in episode.steps)
    assert {step.action.type for a in attempts.values() for step in a.steps if isinstance(step, Act)} >= {
        *("BLOCKED", "ask_clarification", "final_answer", "file_read")
    }


def test_the_right_actions_of_a_small_task_succeed(task, simulator):
    attempt = attempted(task, simulator, *RIGHT)
    assert attempt.turns == (True, True, True) and attempt.actors == ("cheap",) * 7
    assert (attempt.calls, attempt.failed, attempt.malformed) == (4, 0, 0)


def test_another_state_fails_its_turn_and_all_later_ones_with_right_calls(task, simulator):
    attempt = attempted(task, simulator, TOUCH, CAT, call("touch", file_name="x"), *RIGHT[2:])
    assert attempt.turns == (False, True, False)
    x = {"file_name": "x"}
    undone = attempted(task, simulator, *RIGHT[:3], call("touch", **x), ASK, call("rm", **x), *RIGHT[4:])
    assert undone.turns == (True, False, True)


def test_a_further_call_that_changes_nothing_does_no_harm(task, simulator):
    assert attempted(task, simulator, LS, TOUCH, CAT, LS, *RIGHT[2:]).turns == (True, True, True)


def test_the_order_of_the_calls_does_not_matter(task, simulator):
    assert attempted(task, simulator, CAT, TOUCH, *RIGHT[2:]).turns == (True, True, True)


def test_what_was_never_observed_is_missing(task, simulator):
    assert attempted(task, simulator, TOUCH, DONE, *RIGHT[3:]).turns == (False, True, True)


def test_what_was_observed_in_an_earlier_turn_is_known(task, simulator):
    assert attempted(task, simulator, TOUCH, CAT, DONE, ASK, RM, DONE).turns == (True, True, True)


def test_a_call_where_none_is_right_fails_the_turn(task, simulator):
    assert attempted(task, simulator, TOUCH, CAT, DONE, LS, *RIGHT[3:]).turns == (True, False, True)


def test_how_an_agent_says_that_no_call_is_due_does_not_matter(task, simulator):
    assert attempted(task, simulator, TOUCH, CAT, ASK, say("BLOCKED", "no"), RM, CAT, ASK).turns == (True, True, True)


def test_a_replay_that_does_not_repeat_what_was_recorded_is_refused(bfcl, simulator, traces):
    spoilt = EPISODE.model_copy(update={"steps": tuple(NONE if step == HELLO else step for step in EPISODE.steps)})
    with pytest.raises(UserError, match="episode toy, turn 0: its calls do not return what was recorded"):
        assignment(spoilt, ROW, simulator)
    with pytest.raises(UserError, match="episode toy is no task of the traces"):
        assignments([EPISODE], bfcl, 30)


# -- when something goes wrong ---------------------------------------------------------------------------------


def test_too_many_actions_in_a_turn_give_up_the_episode(task, simulator):
    attempt = attempted(task, simulator, TOUCH, CAT, DONE, *[LS] * 5, limit=3)
    assert attempt.given_up == "steps" and attempt.turns == (True, False, False)
    assert attempt.acting == (True, False, True)
    assert len(attempt.actors) == 6 and isinstance(attempt.steps[-1], Observation)
    just_in_time = attempted(task, simulator, *RIGHT, limit=3)
    assert just_in_time.given_up is None and just_in_time.turns == (True, True, True)


def test_malformed_replies_count_as_actions(task, simulator):
    assert attempted(task, simulator, None, LS, None, LS, limit=4).given_up == "steps"


def test_failures_in_a_row_give_up_the_episode_and_a_success_begins_anew(task, simulator):
    wrong = call("cat", file_name="nowhere")
    attempt = attempted(task, simulator, wrong, None, LS, *[wrong] * 9)
    assert attempt.given_up == "failures" and len(attempt.actors) == 3 + FAILURES
    assert attempted(task, simulator, *[None] * 9).given_up == "failures"
    spread = attempted(task, simulator, wrong, wrong, *RIGHT[:3], wrong, wrong, *RIGHT[3:])
    assert spread.given_up is None


def test_a_malformed_reply_is_answered_with_an_error_and_is_no_action(task, simulator):
    attempt = attempted(task, simulator, None, *RIGHT[:3], None, *RIGHT[3:], text="x" * 200)
    assert attempt.turns == (True, True, True) and attempt.malformed == 2
    assert (attempt.calls, attempt.failed) == (4, 0)
    told = attempt.steps[1]
    assert isinstance(told, Observation) and told.content.startswith(EXECUTION_ERROR)
    assert "no well-formed action" in told.content and "x" * 80 in told.content and "x" * 81 not in told.content
    assert sum(isinstance(step, Act) for step in attempt.steps) == len(RIGHT)


def test_the_malformed_text_that_is_quoted_is_the_one_that_was_taken():
    row = Row(made={}, cheap=(candidate(LS.action), candidate(None, text="mine")), strong=candidate(None, text="yours"))
    taken = Outcome(action=None, accepted=True, calls=(), actor="cheap", tokens=10)
    assert written(row, taken) == "mine" and written(row, taken._replace(actor="strong")) == "yours"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (call("fly", to="moon"), "Error during execution: name 'fly' is not defined"),
        (call(""), "Error during execution: name '' is not defined"),  # a reply whose call cannot be read
        (call("cat", nonsense=1), "Error during execution: GorillaFileSystem.cat() got an unexpected keyword"),
        (call("cat", file_name="z"), '{"error": '),
    ],
)
def test_a_failing_call_returns_the_simulators_text_and_the_agent_goes_on(task, simulator, wrong, says):
    attempt = attempted(task, simulator, wrong, *RIGHT)
    assert attempt.steps[1] == wrong and attempt.steps[2].content.startswith(says)
    assert attempt.turns == (True, True, True) and (attempt.calls, attempt.failed) == (5, 1)


PLAYGROUND = """
import os, time

class GorillaFileSystem:
    def __init__(self): self.count = 0
    def put(self, count): self.count = count
    def hang(self): time.sleep(60)
    def die(self): os._exit(3)
"""


@pytest.fixture
def playground(tmp_path: Path):
    """A simulator that misbehaves on request, and a task for it."""
    for name, module in CLASSES.items():
        (tmp_path / f"{module}.py").write_text(f"class {name}:\n    pass\n")
    (tmp_path / "gorilla_file_system.py").write_text(PLAYGROUND)
    episode = recorded((User(content="put"), call("put", count=1), NONE, DONE, User(content="thanks"), DONE))
    with Simulator(tmp_path, timeout=0.5) as running:
        yield running, assignment(episode, {"involved_classes": ["GorillaFileSystem"], "initial_config": {}}, running)


@pytest.mark.parametrize(
    ("tool", "why", "says"), [("hang", "timeout", "took longer"), ("die", "crash", "process ended")]
)
def test_a_simulator_that_hangs_or_dies_gives_up_its_episode_and_serves_the_next(playground, tool, why, says):
    simulator, task = playground
    after = task._replace(episode=task.episode.model_copy(update={"id": "after"}))
    plans = {"toy": planned(call(tool)), "after": planned(call("put", count=1), DONE, DONE)}
    agents = [Agent("B", each, TARIFF, limit=5) for each in (task, after)]
    lost, fine = run(cheap_only, agents, [simulator], scripted(plans))
    assert (lost.given_up, lost.turns, len(lost.charges)) == (why, (False, False), 1)
    assert says in lost.steps[-1].content
    assert (fine.given_up, fine.turns) == (None, (True, True))


def test_numbers_in_the_state_compare_as_numbers(playground):
    simulator, task = playground
    assert attempted(task, simulator, call("put", count=1.0), DONE, DONE).turns == (True, True)
    assert attempted(task, simulator, call("put", count="1"), DONE, DONE).turns == (False, True)


# -- what is asked and paid for --------------------------------------------------------------------------------


class Answerer:
    """Stands at the models' place: every answer is fixed; remembers what it was asked, and by which agents."""

    def __init__(self, action: Action = LS.action, score: float = 0.9, confidence: float = 0.9):
        self.asked: list[tuple[str, int]] = []
        self.made = (candidate(action, confidence=confidence, tokens=7),)
        self.strong = candidate(DONE.action, tokens=9, seconds=0.5)
        self.verdict = (Verdict(score=score, tokens=5, heads=1, seconds=0.01, shared=0),)

    def __call__(self, field: str, agents: list[Agent]) -> list:
        self.asked.append((field, len(agents)))
        for agent in agents:
            role = ASKED[field]
            if role not in agent.row.context:
                noted(agent, role, 100 + 50 * agent.row.decision)
        found = {"cheap": self.made, "strong": self.strong}
        return [found.get(field, self.verdict) for _ in agents]

    @property
    def fields(self) -> set[str]:
        return {field for field, _ in self.asked}


@pytest.mark.parametrize(
    ("policy", "accepts", "needs"),
    [
        ("A", True, {"strong"}),
        ("B", True, {"cheap"}),
        ("C", True, {"cheap", "strong_verdict"}),
        ("C", False, {"cheap", "strong_verdict", "strong"}),
        ("D", True, {"cheap", "verdicts"}),
        ("D", False, {"cheap", "verdicts", "strong"}),
        ("E", True, {"cheap", "verdicts"}),
        ("F", True, {"cheap"}),
        ("F", False, {"cheap", "strong"}),
        ("G", True, {"cheap"}),
        ("G", False, {"strong"}),
        ("H", True, {"cheap", "verdicts"}),
        ("H", False, {"cheap", "verdicts", "strong"}),
        ("S", True, {"cheap"}),
        ("S", False, {"cheap", "strong"}),
    ],
)
def test_nothing_is_asked_that_the_policy_does_not_need(task, simulator, policy, accepts, needs):
    score = 0.9 if accepts else 0.1
    made = {
        "route": lambda agent: score,
        "combined": lambda agent: agent.row.verdicts[0].score * agent.row.cheap[0].confidence * agent.row.route,
    }
    answers = Answerer(DONE.action, score, score)
    agent = Agent(policy, task, TARIFF, 5, made=made)
    (attempt,) = run(partial(act, policy, threshold=0.5), [agent], [simulator], answers)
    assert answers.fields == needs
    assert len(answers.asked) == len(needs) * 3  # once a decision
    assert set(attempt.actors) == {"cheap" if policy != "A" and accepts else "strong"}


def test_where_a_policy_sticks_nobody_but_the_strong_model_is_asked_until_the_users_next_message(task, simulator):
    """Turns of three, one and three actions; the cheap model is unsure at the second one, and at the fifth."""
    confidences, asked = {0: 0.9, 1: 0.1, 3: 0.9, 4: 0.1}, []

    def ask(field: str, agents: list[Agent]) -> list:
        (row,) = (agent.row for agent in agents)
        asked.append((row.decision, field))
        noted(agents[0], ASKED[field], 100 + 50 * row.decision)
        due = RIGHT[row.decision].action
        return [candidate(due)] if field == "strong" else [(candidate(due, confidence=confidences[row.decision]),)]

    (attempt,) = run(partial(act, "S", threshold=0.5), [Agent("S", task, TARIFF, 5)], [simulator], ask)
    assert attempt.turns == (True, True, True)
    assert attempt.actors == ("cheap", "strong", "strong", "cheap", "strong", "strong", "strong")
    assert [n for n, field in asked if field == "cheap"] == [0, 1, 3, 4]


def test_what_several_agents_need_is_asked_at_once_and_only_for_those_that_need_it(task, simulator, bfcl):
    agents = [Agent("D", task, TARIFF, limit=5) for _ in range(3)]
    answers = Answerer()
    scores = iter([0.9, 0.1, 0.1])

    def ask(field: str, those: list[Agent]) -> list:
        found = answers(field, those)
        return [(v[0].model_copy(update={"score": next(scores)}),) for v in found] if field == "verdicts" else found

    for agent in agents:
        agent.start(simulator)
    outcomes = decide(partial(act, "D", threshold=0.5), agents, ask)
    assert answers.asked == [("cheap", 3), ("verdicts", 3), ("strong", 2)]
    assert [outcome.actor for outcome in outcomes] == ["cheap", "strong", "strong"]


def test_a_router_is_asked_with_what_the_agent_has_done_so_far(task, simulator):
    seen: list[int] = []

    def route(agent: Agent) -> float:
        seen.append(len(agent.episode.steps))
        return 0.9

    ask = scripted({"toy": planned(*RIGHT)})
    made = {"route": route}
    (attempt,) = run(partial(act, "G", threshold=0.5), [Agent("G", task, TARIFF, 5, made=made)], [simulator], ask)
    assert seen == [1, 3, 5, 7, 9, 11, 13] and attempt.turns == (True, True, True)


def test_agents_keep_step_with_each_other_as_far_as_there_are_simulators(task, simulator, other):
    plans = {name: planned(*RIGHT) for name in ("one", "two", "three")}
    tasks = [task._replace(episode=task.episode.model_copy(update={"id": name})) for name in plans]
    sizes: list[int] = []

    def ask(field: str, agents: list[Agent]) -> list:
        sizes.append(len(agents))
        return scripted(plans)(field, agents)

    agents = [Agent("B", each, TARIFF, limit=5) for each in tasks]
    attempts = list(run(cheap_only, agents, [simulator, other], ask))
    assert sizes == [2] * 7 + [1] * 7
    assert sorted(a.episode for a in attempts) == ["one", "three", "two"] and all(all(a.turns) for a in attempts)


def test_every_call_that_ran_is_charged(task, simulator):
    calls = []

    def watched(row) -> Outcome:
        outcome = act("D", row, 0.5)
        calls.extend(outcome.calls)
        return outcome

    (attempt,) = run(watched, [Agent("D", task, TARIFF, limit=5)], [simulator], Answerer(score=0.1))
    spent = total(attempt.charges)
    assert len(attempt.charges) == 3 and len(calls) == 9  # cheap, verifier and strong, each time
    assert spent.upstream == pytest.approx(sum(price(each, TARIFF.upstream) for each in calls)) == pytest.approx(3.75)
    # Context is read once; of the strong model's own actions it has the 9 tokens already.
    read = {"cheap": (100, 50, 50), "verifier": (100, 50, 50), "strong": (100, 41, 41)}
    behind = {role: [100 + 50 * n - new for n, new in enumerate(each)] for role, each in read.items()}
    expected = sum(
        sum(flops(SIZES[each.role], behind[each.role][n // 3], read[each.role][n // 3], each))
        for n, each in enumerate(calls)
    )
    assert spent.flops == pytest.approx(expected)
    assert spent.seconds == pytest.approx(0.001 * (200 + 200 + 182) + sum(each.seconds for each in calls))


def test_a_malformed_reply_is_not_in_the_cache_of_what_follows(task, simulator):
    first, second = attempted(task, simulator, None, *[LS] * 5, limit=2).charges
    assert (first.new_tokens, second.new_tokens) == (100, 100)  # contexts of 100 and 200
    _, second = attempted(task, simulator, LS, *[LS] * 5, limit=2).charges
    assert second.new_tokens == 100 - 10  # the tokens of an action of its own


# -- contexts and models ---------------------------------------------------------------------------------------


def test_a_trunk_reads_only_what_is_new_and_answers_as_a_fresh_run(monkeypatch):
    model, lengths = llama(compact_tokenizer()), []
    extend = Session.extend
    monkeypatch.setattr(Session, "extend", lambda s, ids, keep: lengths.append(len(ids)) or extend(s, ids, keep))
    trunk = Trunk(model)
    for ids in ([1, 2, 3, 4], [1, 2, 3, 4, 5, 6], [1, 2, 9, 10, 11], [1, 2, 9, 10], [7, 8], [7, 8]):
        assert trunk.read(ids) > 0
        assert torch.allclose(trunk.first, fresh(model, ids)[-1:], atol=1e-5)
    assert lengths == [4, 2, 3, 1, 2, 1]


ROLES = ("cheap", "verifier", "strong")
LISTED = Observation(content='{"current_directory_content": ["a.txt"]}')
HERE = Observation(content='{"current_working_directory": "/home"}')
SHORT = (
    *(User(content="where am I?"), LS, LISTED, call("pwd", "retrieval"), HERE, DONE),
    *(User(content="and what was that?"), ASK, User(content="the list"), LS, LISTED, LS, LISTED, DONE),
)
"""Short calls: random models hardly ever stop, and the longest action is as long as they go on."""
SENSIBLE = (candidate(LS.action, confidence=0.7), candidate(DONE.action, confidence=0.2))
"""Judged in the place of what random models propose, which is hardly ever an action."""


def random_models(form: str, folder: Path, score: str, config) -> Models:
    """Random models that are asked in a form and judge by a score; windows hold about a turn of `SHORT`."""
    if form == "words":
        render, make = renderer(compact_tokenizer(), max_tokens=80, action_tokens=14), llama
    else:
        limits = CHAT.model_copy(update={"max_tokens": 760, "action_tokens": 50})
        render, make = Renderer.load(qwen3_tokenizer(folder), limits, form), qwen3
    models = {role: brief(make(render.tokenizer, seed=n), render.stop_id) for n, role in enumerate(ROLES)}
    recipe = config.recipe
    if form == "natural":
        recipe = recipe.model_copy(update={"format": "mismatched", "strong": "frozen"})
    if score == "reward":
        models["verifier"] = reward_model(compact_tokenizer())
        recipe = recipe.model_copy(update={"verifier": recipe.verifier.model_copy(update={"objective": "reward"})})
    answer = config.scale.answer.model_copy(update={"proposals": 2})
    how = asking(recipe, config.acceptance.model_copy(update={"score": score}), answer)
    assert how.score("verifier") == score and how.candidates == 2
    return Models({role: Voice(role, model, render) for role, model in models.items()}, how, config.seed)


def brief(model, stop: int):
    """The model, made to stop sooner or later: random ones hardly ever do."""
    bias = torch.zeros(model.config.vocab_size)
    bias[stop] = 6.0
    model.lm_head.bias = torch.nn.Parameter(bias)
    return model


def answers_recorded(ask: Models, episodes: list[Episode]) -> dict[tuple[str, int], dict]:
    """What the answer stage would record, by episode and decision; `SENSIBLE` proposals are judged."""
    rows: dict[tuple[str, int], dict] = {}
    for batch in batches(ask.voices["cheap"].renderer, episodes, ask.seed):
        asked = [a for window in batch for a in window]
        for role, voice in ask.voices.items():
            reading = read(voice.model, [window[0].window for window in batch])
            for a, answer in zip(asked, ask_recorded(voice, reading, asked, rows, ask.how), strict=True):
                row = rows.setdefault((a.episode.id, a.point.decision), {"place": (a.window_number, a.point.start)})
                row |= answer
                if role == "cheap":
                    row |= {"proposed": row["cheap"], "cheap": [c.model_dump(mode="json") for c in SENSIBLE]}
    return rows


@pytest.mark.parametrize(("form", "score"), [("words", "likelihood"), ("words", "reward"), ("natural", "verdict")])
def test_an_agent_that_does_what_was_recorded_is_asked_as_it_was_recorded(
    simulator, other, config, tmp_path, monkeypatch, form, score
):
    episodes = [recorded(SHORT, "all"), recorded(SHORT[:6], "less")]
    agents = [Agent("E", assignment(e, ROW, simulator), TARIFF, 20, picks=(0, 1)) for e in episodes]
    ask, seen, proposed = random_models(form, tmp_path, score, config), {}, {}
    gold = {(e.id, d.index): d.gold for e in episodes for d in decisions(e)}

    def faithful(row) -> Outcome:
        """Reaches for everything, and does what is right."""
        key = row.episode, row.decision
        proposed.setdefault(key, row.cheap)
        row.cheap = SENSIBLE
        _ = row.verdicts, row.strong_verdict, row.strong
        seen[key] = row
        return cheap_only(row)._replace(action=gold[key])

    readings = []
    extend = Session.extend
    monkeypatch.setattr(Session, "extend", lambda s, ids, keep: readings.append(len(ids)) or extend(s, ids, keep))
    attempts = list(run(faithful, agents, [simulator, other], ask))
    assert all(all(attempt.turns) for attempt in attempts)
    assert not any(agent.trunks for agent in agents)  # nothing is kept of those that are done
    assert len(readings) == len(gold) * len(ROLES)  # a model that is asked twice at a decision reads once

    expected = answers_recorded(ask, episodes)
    assert seen.keys() == expected.keys() == gold.keys()
    assert max(row["place"][0] for row in expected.values()) > 0  # several windows
    judged = "verifier_likelihood" if score == "likelihood" else "verifier"
    for key, row in seen.items():
        there = expected[key]
        assert all((row.window[role], row.context[role]) == there["place"] for role in ROLES)
        pairs = zip((*proposed[key], row.strong), (*there["proposed"], there["strong"]), strict=True)
        for mine, theirs in pairs:
            assert (mine.text, mine.tokens) == (theirs["text"], theirs["tokens"])
            assert mine.confidence == pytest.approx(theirs["confidence"], abs=1e-6)
            assert mine.logprob == pytest.approx(theirs["logprob"], abs=1e-4)
        for mine, theirs in ((row.verdicts, there[judged]), (row.strong_verdict, there["strong_verdict"])):
            assert [v.score for v in mine] == pytest.approx([v["score"] for v in theirs], abs=1e-6)
            assert all(0 < v.score < 1 for v in mine)


def test_models_that_are_interrupted_go_on_with_the_same_numbers(simulator, config, tmp_path, monkeypatch):
    """What was answered is not asked again, and what a model has read by then is read again in the same pieces."""
    monkeypatch.chdir(tmp_path)
    policy, models = partial(act, "E", threshold=0.5), random_models("words", tmp_path, "likelihood", config)

    def attempts(kept: Journal, most: int) -> tuple[list, int]:
        """What models said, without its seconds, until they have been asked `most` times; and how often they were."""
        said, asked, remembered = [], 0, Remembered(models, kept, "E")

        def ask(field: str, agents: list[Agent]) -> list:
            nonlocal asked
            asked += f"E {remembered.number + 1} " not in "".join(f"{name} " for name in kept.pieces)
            if asked > most:
                raise InterruptedError
            values = remembered(field, agents)
            said.append(re.sub(r"seconds=[^,)]*", "", str((field, values, [agent.row.context for agent in agents]))))
            return values

        agents = [Agent("E", assignment(recorded(SHORT), ROW, simulator), TARIFF, 6, picks=(0, 1))]
        try:
            assert len(list(run(policy, agents, [simulator], ask))) == 1
        except InterruptedError:
            asked -= 1
        kept.file.close()
        return said, asked

    whole, count = attempts(Journal("live", "a" * 64), 10**6)
    assert count == len(whole) > 6
    for most in (1, 2, count // 2):
        before, asked = attempts(Journal("live", str(most) * 64), most)
        assert before == whole[:most] and asked == most
        again, rest = attempts(Journal("live", str(most) * 64), 10**6)
        assert again == whole and rest == count - most


def test_a_context_is_what_stands_before_the_recorded_action(traces):
    render = renderer(compact_tokenizer(), max_tokens=900, tools_tokens=200, action_tokens=190)
    numbers = set()
    for episode in traces(0.3):
        due = decisions(episode)
        for number, window in enumerate(render.windows(episode)):
            for point in window.points:
                so_far = episode.model_copy(update={"steps": episode.steps[: due[point.decision].step]})
                assert context(render, so_far) == (number, window.ids[: point.start])
                numbers.add(number)
    assert len(numbers) > 2


# -- as a line ---------------------------------------------------------------------------------------------------


def test_a_line_can_be_read_as_an_episode_again(task, simulator):
    attempt = attempted(task, simulator, None, *RIGHT)
    values = json.loads(json.dumps(line(attempt)))
    fields = {
        "id": values["episode"],
        "group": values["group"],
        "source": "live",
        "tools": [],
        "steps": values["steps"],
    }
    assert Episode.model_validate(fields).steps == attempt.steps
    assert (values["policy"], values["turns"], len(values["seconds"])) == ("B", [True] * 3, 8)
    assert sum(values["seconds"]) == pytest.approx(values["charges"]["seconds"])


# -- the stage -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, bfcl, config, traces) -> Path:
    """What the stage reads, on the smoke scale, with random models."""
    folder = tmp_path_factory.mktemp("live")
    copy_configuration(folder)
    smoke, params = folder / "configs/scale/smoke.yaml", folder / "params.yaml"
    smoke.write_text(re.sub(r"action_tokens: \d+", "action_tokens: 8", smoke.read_text(encoding="utf-8")))
    params.write_text(params.read_text(encoding="utf-8").replace("scale: cpu", "scale: smoke"), encoding="utf-8")
    raw = folder / "data/raw/bfcl"
    raw.mkdir(parents=True)
    (raw / config.scale.traces.path).symlink_to(bfcl)
    save_episodes(folder / "data/split/test.jsonl", traces(0.1))
    tokenizer = compact_tokenizer()
    for role in ROLES:
        model = llama(tokenizer)
        save_base(folder / "models/base" / role, tokenizer, model)
        adapted = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
        adapted.save_pretrained(folder / "models" / role)
    THRESHOLDS.save(folder / "data/thresholds.json")
    Router(weights={}, intercept=0.0).save(folder / "data/router.json")
    VERIFIER_ALONE.save(folder / "data/combination.json")
    return folder


@pytest.fixture
def workspace(prepared, tmp_path, monkeypatch) -> Path:
    """A copy of it, to work in."""
    shutil.copytree(prepared, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_stage_writes_every_policys_attempts_and_their_summary(workspace, monkeypatch):
    picks: dict[str, tuple[int, ...]] = {}

    class Watched(Agent):
        """Tells among how many proposals its policy chooses."""

        def __init__(self, policy: str, *arguments, **named):
            super().__init__(policy, *arguments, **named)
            picks[policy] = self.picks

    monkeypatch.setattr("specacts.live.agents.Agent", Watched)
    live_stage.main()
    assert picks == {"A": GREEDY, "B": GREEDY, "D": GREEDY, "E": (0, 1, 2)}
    found = LiveMetrics.load(workspace / "metrics/live.json")
    assert list(found.policies) == ["A", "B", "D", "other"] and found.episodes == 2
    lines = [value for _, value in read_jsonl(workspace / "data/live.jsonl")]
    assert len(lines) == 8 and len({(one["policy"], one["episode"]) for one in lines}) == 8
    assert {one["policy"] for one in lines} == {"A", "B", "D", "E"}
    assert all(one["steps"] and one["actors"] for one in lines)


def without_seconds(path: Path) -> list:
    lines = [value for _, value in read_jsonl(path)]
    return [one | {"seconds": 0, "charges": one["charges"] | {"seconds": 0}} for one in lines]


@pytest.mark.skipif(not FORKS, reason="copies of a process are for Linux alone")
def test_policies_side_by_side_do_what_they_do_one_by_one_and_go_on_after_an_interruption(workspace, monkeypatch):
    live_stage.main()
    whole = without_seconds(workspace / "data/live.jsonl")
    (workspace / "data/live.jsonl").unlink()
    ask = Models.__call__

    def breaking(self, field, agents):
        if agents[0].policy == "D" and len(agents[0].actors) == 2:
            raise KeyboardInterrupt
        return ask(self, field, agents)

    monkeypatch.setattr(room, "copies", lambda _: 3)
    with monkeypatch.context() as patched:
        patched.setattr(Models, "__call__", breaking)
        with pytest.raises(KeyboardInterrupt):
            live_stage.main()
    (kept,) = (workspace / ".work/journal/live").iterdir()
    assert kept.stat().st_size and not (workspace / "data/live.jsonl").exists()
    live_stage.main()
    assert without_seconds(workspace / "data/live.jsonl") == whole
    assert not list((workspace / ".work/journal/live").iterdir())


@pytest.mark.slow
def test_after_interruptions_the_stage_goes_on_and_does_what_it_would_have_done(workspace, monkeypatch):
    live_stage.main()
    whole = without_seconds(workspace / "data/live.jsonl")
    (workspace / "data/live.jsonl").unlink()
    answered, ask = [], Models.__call__

    def breaking(self, field, agents):
        if len(answered) == most:
            raise KeyboardInterrupt
        answered.append(field)
        return ask(self, field, agents)

    monkeypatch.setattr(Models, "__call__", breaking)
    for most in (1, 9, 17):
        with pytest.raises(KeyboardInterrupt) as left:
            live_stage.main()
        assert left.value.__notes__ == ["the same command goes on from here"] and len(answered) == most
        assert not (workspace / "data/live.jsonl").exists()
    most = -1
    live_stage.main()
    assert without_seconds(workspace / "data/live.jsonl") == whole
    assert not list((workspace / ".work/journal/live").iterdir())


def test_without_a_verifier_nobody_runs_who_needs_one(workspace):
    for file, old, new in (
        ("configs/recipe/v3.yaml", "negatives: on_policy", "negatives: none"),
        ("params.yaml", "policies: [D, F, G]", "policies: [F]"),
    ):
        text = (workspace / file).read_text(encoding="utf-8")
        assert old in text
        (workspace / file).write_text(text.replace(old, new), encoding="utf-8")
    left = {name: THRESHOLDS.policies[name] for name in "CFS"}
    THRESHOLDS.model_copy(update={"policies": left, "best_other": "F"}).save(workspace / "data/thresholds.json")
    for name in ("router", "combination"):
        write_json(workspace / f"data/{name}.json", {})
    shutil.rmtree(workspace / "models/verifier")
    live_stage.main()
    assert list(LiveMetrics.load(workspace / "metrics/live.json").policies) == ["A", "B", "other"]


@pytest.mark.parametrize(
    ("thresholds", "says"),
    [
        ({"policies": {"C": 0.5}, "best_other": "C"}, r"data/thresholds\.json: .*policies: F is missing"),
        ({"best_other": "Z"}, r"data/thresholds\.json: .*best_other: 'Z' is not one of C, D"),
    ],
)
def test_the_stage_refuses_wrong_thresholds_and_writes_nothing(workspace, thresholds, says):
    write_json(workspace / "data/thresholds.json", THRESHOLDS.model_dump() | thresholds)
    with pytest.raises(UserError, match=says):
        live_stage.main()
    assert not (workspace / "metrics").exists() and not (workspace / "data/live.jsonl").exists()


def test_the_stage_needs_a_multi_turn_episode(workspace):
    save_episodes(workspace / "data/split/test.jsonl", [EPISODE.model_copy(update={"source": "irrelevance"})])
    with pytest.raises(UserError, match="no multi-turn episode"):
        live_stage.main()


def test_own_traces_have_no_simulator_and_the_stage_says_so(workspace):
    save_episodes(workspace / "data/split/test.jsonl", [EPISODE.model_copy(update={"source": "own"})])
    params = workspace / "params.yaml"
    params.write_text(params.read_text().replace("bfcl: true ", "bfcl: false").replace("own: false", "own: true"))
    live_stage.main()
    assert read_json(workspace / "metrics/live.json")["policies"] == {}
    assert list(read_jsonl(workspace / "data/live.jsonl")) == []
