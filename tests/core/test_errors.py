"""What a user can fix is one line, whatever the system or the terminal says."""

import errno
import os
import resource
import subprocess
import sys

import pytest
from places import ROOT

from specacts.core.errors import NO_ROOM, UserError, one_line_errors, refusal


def test_a_place_that_may_not_be_written_is_named_without_the_name_of_a_half_written_file(tmp_path, capsys):
    with pytest.raises(SystemExit) as left, one_line_errors():
        raise PermissionError(13, "Permission denied", str(tmp_path / ".params.yaml.x1y2"))
    assert left.value.code == 1
    assert capsys.readouterr().err == f"error: {tmp_path}: Permission denied; nothing half-written was published\n"


def no_room(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def wrapped(inner: Exception) -> Exception:
    try:
        raise RuntimeError("the library has failed") from inner
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        *((no_room(number), os.strerror(number)) for number in NO_ROOM),
        (wrapped(no_room(errno.ENOSPC)), "No space left on device"),
        (
            RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
            "No space left on d",
        ),
        (
            RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
            "a file could not be written",
        ),
        (FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"), "a file could not be written whole"),
    ],
    ids=str,
)
def test_a_disk_that_takes_no_more_is_one_line_with_how_much_room_there_is(capsys, error, reason):
    """Whatever a library makes of it."""
    with pytest.raises(SystemExit) as left, one_line_errors():
        raise error
    assert left.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        line.startswith(f"error: {reason}")
        and " MB free" in line
        and line.endswith("; nothing half-written was published")
    )


def test_libraries_say_in_their_own_ways_that_a_file_may_not_grow(tmp_path):
    """Their words, as they are today: a limit on files stands for the full disk."""
    import torch
    from safetensors.torch import save_file

    numbers = {"a": torch.zeros(99_999)}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for write in (
        lambda path: path.write_bytes(bytes(99_999)),
        lambda path: torch.save(numbers, path),
        lambda path: save_file(numbers, path),
    ):
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
        try:
            with pytest.raises(Exception) as raised:  # noqa: B017
                write(tmp_path / "file")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert refusal(raised.value)


def test_a_refused_experiment_says_how_to_take_back_what_it_wrote(tmp_path, monkeypatch, capsys):
    """DVC writes `-S` into the file before anything is checked."""
    nobody = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    (tmp_path / "params.yaml").write_text("r: 16\n")
    for command in (("init", "-q"), ("add", "."), (*nobody, "commit", "-q", "-m", "first")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_EXP_NAME", "bold-name")  # as DVC sets it

    def said() -> str:
        with pytest.raises(SystemExit), one_line_errors():
            raise UserError("params.yaml: r: 0 is too small")
        return capsys.readouterr().err

    assert said() == "error: params.yaml: r: 0 is too small\n"
    (tmp_path / "params.yaml").write_text("r: 0\n")
    assert said().endswith("What -S wrote stays in the file: `git checkout -- params.yaml` takes it back\n")
    monkeypatch.delenv("DVC_EXP_NAME")
    assert said() == "error: params.yaml: r: 0 is too small\n"


def test_other_failures_of_the_system_are_faults_of_ours(tmp_path):
    with pytest.raises(FileNotFoundError), one_line_errors():
        (tmp_path / "nowhere").read_text()


def test_output_that_knows_few_characters_shows_others_as_marks():
    code = "from specacts.core.errors import one_line_errors\nwith one_line_errors(): print('60 \u20ac')"
    environment = {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert done.stdout == b"60 ?\n"
