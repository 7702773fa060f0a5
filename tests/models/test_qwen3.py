"""The code path of scale `qwen3`, on a random Qwen3 of two layers with a tokenizer and template in Qwen3's style.

What it does not show: memory, speed and numbers at full size, and a GPU.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from places import ROOT, copy_configuration
from safetensors.torch import load_file
from toys import CHAT, TOOLS, call, episode, qwen3_base, say, settings

from specacts.answering.ask import judge, likelihood, propose, read
from specacts.answering.proposals import Proposed, on_policy
from specacts.answering.records import Candidate
from specacts.config import load_config
from specacts.core.episodes import Act, Action, Episode, Observation, User, decisions, save_episodes
from specacts.core.words import ACTION_TYPES, ROLES, SPEAKING
from specacts.models.load import load_model
from specacts.training.rows import Weights, proposer_rows, verifier_rows
from specacts.training.train import train
from specacts.transcripts.render import load_renderer

EPISODES = [episode("a", 2), episode("b", 1)]


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return qwen3_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def renderer(base):
    return load_renderer(base, CHAT)


def proposed(renderer, one: Episode) -> dict[tuple[str, int], list[Candidate]]:
    """A right, a wrong and a malformed proposal at every decision."""
    actions = {d.index: [d.gold, say("BLOCKED", "no").action, None] for d in decisions(one)}
    return {
        (one.id, index): [
            Candidate(
                text=renderer.text(renderer.action_ids(a)) if a else "<tool_call>",
                action=a,
                confidence=0.5,
                logprob=-1,
                tokens=3,
                seconds=0,
            )
            for a in row
        ]
        for index, row in actions.items()
    }


@pytest.fixture(scope="module")
def rows(renderer):
    """Proposer rows, and verifier rows with branches."""
    found = {key: row for e in EPISODES for key, row in proposed(renderer, e).items()}
    gold = {(e.id, d.index): d.gold for e in EPISODES for d in decisions(e)}
    rows = [Proposed(episode=e, decision=d, gold=gold[e, d], candidates=tuple(c)) for (e, d), c in found.items()]
    judged, balance = verifier_rows(renderer, EPISODES, on_policy(rows, "type"), 1.0, Weights(3.0, 1.0), True)
    assert balance.accept and balance.reject
    return [*proposer_rows(renderer, EPISODES, Weights(3.0, 1.0)), *judged]


@pytest.mark.parametrize(
    ("dtype", "checkpointing"),
    [pytest.param("float32", False, marks=pytest.mark.slow), pytest.param("float32", True, marks=pytest.mark.slow)]
    + [("bfloat16", True)],
)
def test_it_trains_with_branches_in_both_precisions(base, rows, tmp_path, dtype, checkpointing):
    chosen = settings(dtype=dtype, gradient_checkpointing=checkpointing, epochs=3)
    some = [*rows[:2], rows[-1]]
    result = train(base, some, tmp_path / "out", tmp_path / "scratch", chosen)
    assert result.steps == 3 * len(some)
    assert math.isfinite(result.final_loss) and result.final_loss < result.first_loss
    tensors = load_file(tmp_path / "out/adapter_model.safetensors")
    assert any(tensor.abs().max() > 0 for name, tensor in tensors.items() if "lora_B" in name)


@pytest.mark.slow
def test_gradient_checkpointing_changes_no_result(base, rows, tmp_path):
    for name, checkpointing in (("with", True), ("without", False)):
        chosen = settings(gradient_checkpointing=checkpointing)
        train(base, rows[:3], tmp_path / name, tmp_path / "scratch", chosen)
    found = [load_file(tmp_path / name / "adapter_model.safetensors") for name in ("with", "without")]
    assert found[0].keys() == found[1].keys()
    assert all(torch.allclose(found[0][key], found[1][key], atol=1e-6) for key in found[0])


@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.slow), "bfloat16"])
def test_it_answers_and_judges(base, renderer, rows, tmp_path, dtype):
    train(base, rows[:1], tmp_path / "out", tmp_path / "scratch", settings(dtype=dtype))
    model = load_model(base, tmp_path / "out", "cpu", dtype)
    for window in renderer.windows(EPISODES[0]):
        reading = read(model, [window])
        candidates = propose(reading, renderer, 3, 0.8, list(range(len(window.points))))
        assert [len(row) for row in candidates] == [3] * len(window.points)
        assert all(math.isfinite(c.logprob) and 1 <= c.tokens <= CHAT.action_tokens for row in candidates for c in row)
        for verdicts in (
            judge(reading, renderer, candidates, True),
            likelihood(reading, renderer, candidates, "call"),
        ):
            assert all(0 <= v.score <= 1 for row in verdicts for v in row)


def test_a_tool_call_is_written_in_the_models_own_convention(renderer):
    ids = renderer.action_ids(call("move", "file_write", source="a", target="ü").action)
    text = 'write\n<tool_call>\n{"name": "move", "arguments": {"source": "a", "target": "ü"}}\n</tool_call>'
    assert renderer.text(ids) == text
    marks = [renderer.tokenizer.convert_tokens_to_ids(t) for t in ("<tool_call>", "</tool_call>", "<|im_end|>")]
    assert [token for token in ids if token in marks] == marks


# -- the stages -----------------------------------------------------------------------------------------------


def toy_split(folder: Path, name: str, count: int) -> None:
    save_episodes(folder / f"{name}.jsonl", [episode(f"{name}{n}", 1 + n % 2) for n in range(count)])


@pytest.fixture
def workspace(base, tmp_path, monkeypatch) -> Path:
    """A workspace in front of its trainings: toy bases in Qwen3's shape, toy limits and toy splits."""
    root = copy_configuration(tmp_path / "work space")
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["scale"], params["lora"]["r"] = "toy", 2
    params["acceptance"]["average_over"] = "groups"  # how many decisions count is said by `split`
    scale = yaml.safe_load((root / "configs/scale/smoke.yaml").read_text())
    scale |= {"device": "cpu", "dtype": "float32", "bases": {"toy": {"kind": "folder", "path": str(base)}}}
    scale |= {"render": CHAT.model_dump() | {"frames": {"toy": "chat"}}, "bootstrap": 100}
    scale["answer"] |= {"calibrate_episodes": 3, "test_episodes": 3, "verify_episodes": 3}
    for role in ROLES:
        scale[role] |= {"base": "toy", "layers": None, "epochs": 1, "learning_rate": 1e-2}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    (root / "configs/scale/toy.yaml").write_text(yaml.safe_dump(scale))
    for name in ("train", "verify", "calibrate", "test"):
        toy_split(root / "data/split", name, 4)
    monkeypatch.chdir(root)
    from stages.fetch import fetch_base, make_roles

    config = load_config(Path("."))
    folder, record = fetch_base(config.scale.bases["toy"], "toy.yaml: bases.toy")
    assert record.kind == "folder"
    make_roles(config.scale, ROLES, {"toy": folder}, "toy.yaml")
    return root


@pytest.mark.slow
def test_the_model_stages_run_one_after_the_other(workspace):
    from stages import answer, calibrate, effects, evaluate, propose, route, train_verifier
    from stages import train as training

    training.main("cheap")
    training.main("strong")
    propose.main()
    train_verifier.main()
    answer.main()
    effects.main()
    route.main()
    calibrate.main()
    evaluate.main()
    found = json.loads((workspace / "metrics/eval.json").read_text())
    assert list(found["policies"]) == list("ABCDEFGHS") and found["decisions"] > 0
    for role in ROLES:
        names = {path.name for path in (workspace / "models" / role).iterdir()}
        assert names == {"adapter_config.json", "adapter_model.safetensors"}


@pytest.mark.slow
def test_a_training_runs_under_accelerate_launch(workspace):
    options = ["--num_processes", "1", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    command = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        *options,
        "--cpu",
        "--module",
        "stages.train",
        "strong",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=workspace, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    measured = json.loads((workspace / "metrics/train/strong.json").read_text())
    _, *curve = (workspace / "metrics/train/strong_loss.csv").read_text().splitlines()
    losses = [float(line.split(",")[1]) for line in curve]
    assert measured["steps"] > 0 and losses[-1] < losses[0]
    assert (workspace / "models/strong/adapter_model.safetensors").is_file()


def test_every_action_type_has_its_way_through_the_chat_template(renderer):
    steps = [User(content="all of them")]
    for action_type in ACTION_TYPES:
        name = None if action_type in SPEAKING else "move"
        steps += [Act(action=Action(type=action_type, tool=name)), Observation(content="ok")]
    one = Episode(id="all", group="all", source="toy", tools=TOOLS, steps=tuple(steps))
    points = [(w, p) for w in renderer.windows(one) for p in w.points]
    found = [renderer.parse(renderer.text(w.ids[p.start : p.end])) for w, p in points]
    assert [action.type for action in found] == list(ACTION_TYPES)
