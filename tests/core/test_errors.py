"""What a user can fix is one line, whatever the system or the terminal says."""

import subprocess
import sys

import pytest
from places import ROOT

from specacts.core.errors import one_line_errors


def test_a_place_that_may_not_be_written_is_named_without_the_name_of_a_half_written_file(tmp_path, capsys):
    with pytest.raises(SystemExit) as left, one_line_errors():
        raise PermissionError(13, "Permission denied", str(tmp_path / ".params.yaml.x1y2"))
    assert left.value.code == 1
    assert capsys.readouterr().err == f"error: {tmp_path}: Permission denied; nothing half-written was published\n"


def test_other_failures_of_the_system_are_faults_of_ours(tmp_path):
    with pytest.raises(FileNotFoundError), one_line_errors():
        (tmp_path / "nowhere").read_text()


def test_output_that_knows_few_characters_shows_others_as_marks():
    code = "from specacts.core.errors import one_line_errors\nwith one_line_errors(): print('60 \u20ac')"
    environment = {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert done.stdout == b"60 ?\n"
