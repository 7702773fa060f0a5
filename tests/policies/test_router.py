"""The router learns from contexts alone which of them the cheap model will be right in."""

import random

import pytest
from factories import make_row

from specacts.core.episodes import Act, Action, Episode, Observation, Tool, User
from specacts.core.errors import UserError
from specacts.core.files import write_jsonl, write_text
from specacts.policies.cases import load_routes
from specacts.policies.router import Example, Router, features, fit, route, routes

READ = Action(type="file_read", tool="cat", arguments={"file_name": "a"})
DONE = Action(type="final_answer")


def episode(*steps, **fields) -> Episode:
    known = {"id": "e0", "group": "g0", "source": "toy", "tools": (Tool(name="cat"),)}
    return Episode(**(known | fields), steps=steps)


STEPS = (User(content="read a"), Act(action=READ), Observation(content="text"), Act(action=DONE))


def examples(count: int = 200, seed: int = 0) -> list[Example]:
    """Right mostly after an observation; two decisions a group."""
    rng = random.Random(seed)
    made = []
    for n in range(count):
        seen = rng.random() < 0.5
        found = {"last=observation": 1.0} if seen else {"last=user": 1.0}
        made.append(Example(found, rng.random() < (0.9 if seen else 0.2), f"g{n // 2}"))
    return made


def test_what_lies_ahead_is_no_feature():
    whole = episode(*STEPS)
    assert features(whole, 1) == features(episode(STEPS[0]), 1)
    assert features(whole, 3) == features(episode(*STEPS[:3]), 3)


def test_features_say_what_was_done_last_and_whether_it_failed():
    found = features(episode(*STEPS), 3)
    assert found["last=observation"] == found["last tool=cat"] == found["last type=file_read"] == 1
    assert "last failed" not in found
    failed = (STEPS[0], STEPS[1], Observation(content='{"error": "no such file"}'))
    assert features(episode(*failed), 3)["last failed"] == 1
    assert features(episode(User(content="now?", new_tools=("ls",))), 1)["new tools"] == 1
    assert features(episode(), 0)["last=none"] == 1


def test_a_new_turn_begins_again():
    later = (*STEPS, User(content="and b"))
    found = features(episode(*later), 5)
    assert found["actions in turn"] == 0 and "last tool=cat" not in found and found["turns"] == 2 / 6


def test_it_finds_where_the_cheap_model_is_right():
    found = fit(examples(), seed=0)
    assert 0.75 < found.auroc < 0.95 and found.log_loss < 0.6
    after, before = (route(found.router, episode(*STEPS), at) for at in (3, 1))
    assert after > 0.7 and before < 0.4


def test_it_learns_nothing_where_there_is_nothing_to_learn():
    rng = random.Random(1)
    noise = [Example({"a": rng.random()}, rng.random() < 0.6, str(n)) for n in range(300)]
    assert fit(noise, seed=0).auroc < 0.6


@pytest.mark.parametrize("right", [True, False])
def test_always_right_or_always_wrong_is_a_constant(right: bool):
    found = fit([Example({"a": float(n)}, right, str(n)) for n in range(9)], seed=0)
    assert found.auroc == 0.5 and found.router.weights == {}
    assert (route(found.router, episode(*STEPS), 1) > 0.9) == right


def test_the_same_seed_gives_the_same_router_and_another_order_of_names_too():
    shuffled = [one._replace(features=dict(reversed(one.features.items()))) for one in examples()]
    assert fit(examples(), 3) == fit(shuffled, 3)


def test_it_is_stored_as_plain_numbers_and_read_back(tmp_path):
    router = fit(examples(), 0).router
    router.save(tmp_path / "router.json", exact=True)
    assert Router.load(tmp_path / "router.json") == router
    write_text(tmp_path / "router.json", '{"weights": {"a": "x"}, "intercept": 0}')
    with pytest.raises(UserError, match=r"router\.json: weights\.a: .*\(got 'x'\); run the stage that makes it"):
        Router.load(tmp_path / "router.json")


def test_every_decision_has_a_line_and_rows_find_theirs(tmp_path):
    lines = routes(Router(weights={"last=user": 1.0}, intercept=0.0), [episode(*STEPS)])
    assert [(line["episode"], line["decision"]) for line in lines] == [("e0", 0), ("e0", 1)]
    assert [line["turn"] for line in lines] == [1, 1]
    assert lines[0]["route"] == pytest.approx(0.731, abs=1e-3) and lines[1]["route"] == 0.5
    write_jsonl(tmp_path / "routes.jsonl", lines)
    rows = [make_row(decision=n) for n in (1, 0)]  # in whatever order
    assert load_routes(tmp_path / "routes.jsonl", rows) == [(line["route"], line["turn"]) for line in reversed(lines)]
    with pytest.raises(UserError, match="no line for e0, decision 7; run `dvc repro route`"):
        load_routes(tmp_path / "routes.jsonl", [make_row(decision=7)])
    write_text(tmp_path / "routes.jsonl", '{"episode": "e0"}\n')
    with pytest.raises(UserError, match=r"routes\.jsonl:1: .*needs episode, decision, turn and route"):
        load_routes(tmp_path / "routes.jsonl", rows)
