"""One training on several GPUs: a process each, by accelerate, while the stage that holds the lock waits for them.

    done = launch(job, 4)       # what `train.work(job)` returns, of the first process

Each process loads the base and reads its share of every step's rows; gradients are averaged (DDP), so the result is
what one process would have come to with the same rows a step. The first one writes checkpoints and publishes the
adapter.
"""

import os
import subprocess
import sys
from pathlib import Path

from pydantic import TypeAdapter

from specacts.core.errors import UserError, one_line_errors
from specacts.core.files import write_text
from specacts.core.process import die_with_parent
from specacts.training.job import Done, Job

OPTIONS = (
    "--multi_gpu", "--gpu_ids=all", "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no",
    "--main_process_port=0",
)  # fmt: skip
"""Whatever an accelerate configuration of the user's says: precision is the trainer's."""


def processes(devices: int, batch_size: int) -> int:
    """As many as there are devices, or fewer where they could not share out a step's rows evenly."""
    return max(count for count in range(1, max(1, devices) + 1) if batch_size % count == 0)


def refuse_launcher() -> None:
    """Raise `UserError` where a launcher started this stage several times: it starts its processes itself."""
    count = os.environ.get("WORLD_SIZE", "1")
    if count != "1":
        raise UserError(
            f"a launcher started {count} copies of this stage; run it once, and it uses as many GPUs as divide "
            "train.batch_size (docs/gpu.md)"
        )


def launch(job: Job, count: int) -> Done:
    """Run the job in so many processes. Raises `UserError` with what one of them said, or where to look for it."""
    folder = job.folder
    folder.mkdir(parents=True, exist_ok=True)
    for path in (_done(folder), _error(folder)):
        path.unlink(missing_ok=True)
    (folder / "job.json").write_bytes(TypeAdapter(Job).dump_json(job))
    command = [sys.executable, "-m", "accelerate.commands.launch", *OPTIONS, f"--num_processes={count}"]
    command += ["--module", "specacts.training.launch", str(folder)]
    code = subprocess.run(command, preexec_fn=die_with_parent).returncode
    if _error(folder).exists():
        raise UserError(_error(folder).read_text(encoding="utf-8").strip())
    if code or not _done(folder).exists():
        raise UserError(f"training: one of {count} processes stopped (exit code {code}); its last lines stand above")
    return TypeAdapter(Done).validate_json(_done(folder).read_bytes())


def _done(folder: Path) -> Path:
    return folder / "done.json"


def _error(folder: Path) -> Path:
    return folder / "error.txt"


def main() -> None:
    """One of the processes: its number and its peers are in the environment, the job in the folder."""
    die_with_parent()
    # Imported here: the stage that launches needs none of it.
    import torch
    from accelerate import PartialState

    from specacts.models.load import device_of
    from specacts.training.train import work

    folder = Path(sys.argv[1])
    job = TypeAdapter(Job).validate_json((folder / "job.json").read_bytes())
    state = PartialState(cpu=device_of(job.settings.device).type == "cpu")  # chooses this process's GPU
    try:
        done = work(job)
    except UserError as error:
        if state.is_main_process:
            write_text(_error(folder), f"{error}\n")
        raise
    if state.is_main_process:
        write_text(_done(folder), TypeAdapter(Done).dump_json(done).decode())
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    with one_line_errors():
        main()
