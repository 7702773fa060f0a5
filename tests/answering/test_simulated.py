"""Calls are compared by what they do on the real simulators, from the state they were proposed in."""

import pytest
from factories import candidate, make_row
from places import ROOT

from specacts.answering.effects import Counts, EffectMetrics, does_the_same, summary
from specacts.answering.simulated import same_effects
from specacts.bfcl.tasks import collect
from specacts.core.episodes import Action, Observation, decisions
from specacts.core.errors import UserError


@pytest.fixture(scope="module")
def episodes(bfcl, config):
    """Real tasks with faults among their calls, and one-decision ones."""
    single = config.scale.data.single_turn.model_copy(
        update=dict.fromkeys(("simple_python", "multiple", "live_multiple", "irrelevance", "live_irrelevance"), 1)
    )
    data = config.scale.data.model_copy(update={"tasks": 5, "single_turn": single, "fault_rate": 0.3})
    return collect(bfcl, data, 0, ROOT / "configs/action_types/bfcl.yaml").episodes


def answered(episode, index: int, *proposals: Action | None, strong: Action | None = None):
    """A decision's row with these candidates."""
    gold = decisions(episode)[index].gold
    row = make_row(episode=episode.id, decision=index, cheap=(None,) * len(proposals), verifier=(0.5,) * len(proposals))
    return row.model_copy(
        update={"gold": gold, "cheap": tuple(map(candidate, proposals)), "strong": candidate(strong or gold)}
    )


def everything(episodes, propose):
    """A row a decision of every episode; `propose` makes the candidates of its gold action."""
    return [answered(e, d.index, *propose(d.gold)) for e in episodes for d in decisions(e)]


def test_every_gold_action_does_the_same_as_itself_at_every_decision(episodes, bfcl):
    rows = everything(episodes, lambda gold: (gold, None))
    found = list(same_effects(episodes, rows, bfcl, 30))
    assert [(s.episode, s.decision) for s in found] == [(r.episode, r.decision) for r in rows]
    assert all(same.cheap == (True, False) and same.strong for same in found)
    assert {same.executed for same in found} == {True, False}


def episode_with(episodes, tool: str):
    """A decision at which `tool` is called."""
    return next((e, d) for e in episodes for d in decisions(e) if d.gold.tool == tool and e.source.startswith("multi"))


def otherwise(ls: Action) -> Action:
    """Listing with or without hidden files, of which there are none."""
    return ls.model_copy(update={"arguments": {"a": not ls.arguments.get("a", False)}})


def test_other_text_with_the_same_effect_is_found_out(episodes, bfcl):
    """Real aliases: a flag that makes no difference here, and another type given to the same call."""
    episode, decision = episode_with(episodes, "ls")
    gold = decision.gold
    spelled = otherwise(gold)
    renamed = gold.model_copy(update={"type": "tool_call"})
    wrong = gold.model_copy(update={"arguments": {"nonsense": 1}})
    row = answered(episode, decision.index, spelled, renamed, wrong, Action(type="file_read", tool="pwd"))
    (same,) = same_effects([episode], [row], bfcl, 30)
    assert same.executed and same.cheap == (True, True, False, False)
    assert (
        does_the_same(row, same, spelled) and not does_the_same(row, same, wrong) and not does_the_same(row, same, None)
    )


def test_a_call_that_returns_the_same_and_leaves_another_state_is_another(simulator):
    root = {"home": {"type": "directory", "contents": {}}}
    simulator.start(["GorillaFileSystem"], {"GorillaFileSystem": {"root": root}})
    one, again, other = (simulator.effect("mkdir", {"dir_name": name}) for name in ("a", "a", "b"))
    assert one == again and one.observation == other.observation and one.state != other.state
    assert simulator.call("ls", {}) == '{"current_directory_content": []}'  # they were tried on copies


def test_trying_a_call_leaves_no_trace_for_what_follows(episodes, bfcl):
    """Proposals that would change everything change no later result."""
    episode = next(e for e in episodes if e.source == "multi_turn_base")
    due = decisions(episode)
    harmful = next(d.gold for d in due if d.gold.type == "file_write" or d.gold.tool)
    plain = list(same_effects([episode], [answered(episode, d.index, d.gold) for d in due], bfcl, 30))
    among = list(same_effects([episode], [answered(episode, d.index, d.gold, harmful) for d in due], bfcl, 30))
    assert [same.cheap[0] for same in among] == [same.cheap[0] for same in plain] == [True] * len(due)


def test_a_replay_that_does_not_repeat_what_was_recorded_is_refused(episodes, bfcl):
    episode = next(e for e in episodes if e.source == "multi_turn_base")
    spoilt = [Observation(content="something else") if isinstance(s, Observation) else s for s in episode.steps]
    rows = [answered(episode, d.index, d.gold) for d in decisions(episode)]
    with pytest.raises(UserError, match=f"episode {episode.id}, decision 0: .* does not return what was recorded"):
        list(same_effects([episode.model_copy(update={"steps": tuple(spoilt)})], rows, bfcl, 30))


def test_an_episode_that_is_not_there_is_named(episodes, bfcl):
    row = answered(episodes[0], 0, None)
    with pytest.raises(UserError, match=f"episode {episodes[0].id} was answered and is not in its split"):
        list(same_effects([], [row], bfcl, 30))
    moved = episodes[0].model_copy(update={"id": "multi_turn_base_999999", "source": "multi_turn_base"})
    with pytest.raises(UserError, match="multi_turn_base_999999 is no task of the traces"):
        list(same_effects([moved], [row.model_copy(update={"episode": moved.id})], bfcl, 30))


def test_the_summary_counts_text_and_effect_apart(episodes, bfcl):
    episode, decision = episode_with(episodes, "ls")
    spelled = otherwise(decision.gold)
    wrong = decision.gold.model_copy(update={"arguments": {"nonsense": 1}})
    rows = [answered(episode, decision.index, spelled, strong=wrong)]
    same = list(same_effects([episode], rows, bfcl, 30))
    assert same[0].seconds > 0
    assert summary(rows, same) == EffectMetrics(
        decisions=1,
        executed_calls=1,
        median_call_seconds=same[0].seconds,
        cheap=Counts(same_text=0, other_text=1, other_text_same_effect=1),
        strong=Counts(same_text=0, other_text=1, other_text_same_effect=0),
    )
