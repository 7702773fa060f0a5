"""What a long stage keeps: only whole, only of the very same run, and exactly as it was."""

from pathlib import Path

import pytest
from places import ROOT, copy_configuration

from specacts.core import journal
from specacts.core.files import write_text
from specacts.core.journal import Journal

RUN, OTHER = "a" * 64, "b" * 64


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def kept(*names: str, run: str = RUN) -> Journal:
    found = Journal("answer", run)
    for name in names:
        found.add(name, {"said": name, "p": 0.1 + 0.2})
    found.file.close()
    return found


def pieces(run: str = RUN) -> list[str]:
    return list(Journal("answer", run).pieces)


def test_a_piece_comes_back_exactly_and_with_the_seconds_that_it_took():
    kept("a", "ü\nb")
    again = Journal("answer", RUN)
    assert again.get("ü\nb") == {"said": "ü\nb", "p": 0.30000000000000004}
    assert again.get("c") is None and again.seconds > 0 and again.taken == 1


def test_each_run_has_its_own_and_a_line_of_another_is_none():
    other = kept("a", run=OTHER)
    assert pieces() == []
    other.path.rename(kept("b").path)
    assert pieces() == [] and Journal("answer", RUN).damaged == 1


def test_a_torn_end_is_left_out_and_written_behind():
    path = kept("a", "b").path
    for size in range(path.stat().st_size - 2, path.read_bytes().index(b"\n") + 1, -7):
        whole = path.read_bytes()
        path.write_bytes(whole[:size])
        assert pieces() == ["a"]
        kept("c")
        assert pieces() == ["a", "c"]
        path.write_bytes(whole)


@pytest.mark.parametrize("bit", range(8))
def test_no_flipped_bit_passes(bit):
    path = kept("a", "b").path
    whole = path.read_bytes()
    end = whole.index(b"\n") + 1
    for at in range(0, end - 1, 5):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << bit
        path.write_bytes(damaged)
        assert "a" not in (found := Journal("answer", RUN).pieces) and list(found)[-1:] == ["b"]


def test_what_was_published_is_forgotten_and_few_of_other_runs_stay(here):
    for run in "cdefg":
        kept("a", run=run * 64)
    found = kept("a")
    assert len(list(found.path.parent.iterdir())) == journal.OTHERS + 1
    found.forget()
    assert not found.path.exists() and pieces() == []


def test_a_run_that_is_interrupted_says_that_it_will_go_on(here, monkeypatch, capsys):
    monkeypatch.setattr(journal, "fingerprint", lambda stage, machine: RUN)
    with pytest.raises(KeyboardInterrupt) as left, journal.journal("answer", "here") as found:
        found.add("a", 1)
        raise KeyboardInterrupt
    assert left.value.__notes__ == ["the same command goes on from here"]
    with found.path.open("ab") as file:
        file.write(b"torn")
    with journal.journal("answer", "here"):
        pass
    out, err = capsys.readouterr()
    assert out == "answer: continues an interrupted run: 1 pieces are already there\n"
    assert "answer: 1 damaged lines in .work/journal/answer/" in err


@pytest.fixture
def repository(here, monkeypatch) -> Path:
    copy_configuration(here)
    for name in ("data/split/calibrate.jsonl", "models/base/cheap/model.safetensors", "models/cheap/a.safetensors"):
        write_text(here / name, "as it was")
    monkeypatch.setattr(journal, "code", lambda stage: {"stages/answer.py": "1"})
    return here


def test_all_that_decides_the_bytes_is_in_the_fingerprint_and_nothing_else(repository, monkeypatch):
    first = journal.fingerprint("answer", "CPU")
    assert journal.fingerprint("answer", "CPU") == first != journal.fingerprint("answer", "GPU")
    decides = {
        "data/split/calibrate.jsonl": ("as it was", "otherwise"),
        "models/base/cheap/model.safetensors": ("as it was", "as it Was"),
        "models/cheap/a.safetensors": ("as it was", "otherwise"),
        "params.yaml": ("seed: ", "seed: 1"),
        "configs/scale/cpu.yaml": ("temperature: ", "temperature: 1"),
        "configs/recipe/v3.yaml": ("format: ", "format: un"),
    }
    for name, change in decides.items():
        before = (repository / name).read_text(encoding="utf-8")
        assert change[0] in before, name
        write_text(repository / name, before.replace(*change))
        assert journal.fingerprint("answer", "CPU") != first, name
        write_text(repository / name, before)
    params = (repository / "params.yaml").read_text(encoding="utf-8")
    write_text(repository / "params.yaml", params.replace("confidence: 0.", "confidence: 0.0"))  # of promises
    assert journal.fingerprint("answer", "CPU") == first
    monkeypatch.setattr(journal, "code", lambda stage: {"stages/answer.py": "2"})
    assert journal.fingerprint("answer", "CPU") != first


def test_the_code_is_what_the_stage_imports_now(monkeypatch):
    monkeypatch.chdir(ROOT)
    found = journal.code.__wrapped__("propose")
    assert "specacts/answering/ask.py" in found and "specacts/core/journal.py" not in found
