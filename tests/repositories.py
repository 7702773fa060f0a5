"""A small repository as DVC leaves it after a run, made without DVC: two stages, a file and a folder, a cache."""

import json
from pathlib import Path

import yaml

from specacts.core.stored import Output, Stored, md5_of

PIPELINE = {
    "stages": {
        "make": {"cmd": "make", "deps": ["params.yaml"], "outs": [{"data/made": {"persist": True}}]},
        "train": {
            "foreach": {"cheap": {}},
            "do": {
                "cmd": "train ${key}",
                "deps": ["data/made/rows.txt", "configs/${scale}.yaml"],
                "outs": ["models/${key}.bin"],
                "plots": [{"metrics/${key}.json": {"cache": False}}],
            },
        },
    }
}
FILES = {
    "params.yaml": "seed: 0\n",
    "data/made/rows.txt": "one\ntwo\n",
    "data/made/deep/more.txt": "three\n",
    "models/cheap.bin": "weights" * 100,
    "metrics/cheap.json": "{}\n",
}
OUTS = {"make": ["data/made"], "train@cheap": ["models/cheap.bin", "metrics/cheap.json"]}


def finished(root: Path) -> Stored:
    """The repository after its run, everything saved."""
    (root / ".dvc/tmp").mkdir(parents=True)
    (root / "dvc.yaml").write_text(yaml.safe_dump(PIPELINE))
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    write_lock(root)
    kept = Stored.at(root, exact=False)
    for output in kept.outputs:
        if output.cached:
            kept.save(output)
    return kept


def write_lock(root: Path, *stages: str) -> None:
    """dvc.lock of what is there, of some stages or all."""
    entries = {
        stage: {"cmd": stage, "outs": [{"path": out, "hash": "md5", "md5": md5_of(root / out)} for out in outs]}
        for stage, outs in OUTS.items()
        if stage in (stages or OUTS)
    }
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": entries}, sort_keys=False))


def output(kept: Stored, path: str) -> Output:
    return next(output for output in kept.outputs if output.path == path)


def contents(root: Path) -> str:
    """All of the outputs, as text."""
    return json.dumps({name: (root / name).read_text() for name in FILES})
