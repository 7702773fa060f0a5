"""A sealed folder says itself whether it is whole."""

import pytest
from damage import cut, flip

from specacts.core.manifest import LIST, flaw, seal


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "a").write_text("a" * 100)
    (tmp_path / "deep/b c").write_text("b" * 100)
    seal(tmp_path)
    return tmp_path


def test_a_sealed_folder_is_whole_and_sealed_again_the_same(folder):
    before = (folder / LIST).read_text()
    assert flaw(folder) is None
    seal(folder)
    assert (folder / LIST).read_text() == before


@pytest.mark.parametrize("name", ["a", "deep/b c"])
@pytest.mark.parametrize("harm", [flip, cut])
def test_a_damaged_file_is_named(folder, name, harm):
    harm(folder / name)
    assert flaw(folder) == f"{name} is damaged"


def test_a_missing_file_and_one_that_was_not_there_are_named(folder):
    (folder / "new").write_text("")
    assert flaw(folder) == "new is missing, or was not there"
    (folder / "new").unlink()
    (folder / "deep/b c").unlink()
    assert flaw(folder) == "deep/b c is missing, or was not there"


def test_whatever_becomes_of_the_list_is_noticed(folder):
    text = (folder / LIST).read_bytes()
    for bit in range(0, 8 * len(text), 13):
        changed = bytearray(text)
        changed[bit // 8] ^= 1 << bit % 8
        (folder / LIST).write_bytes(changed)
        assert flaw(folder), bit
    for length in range(0, len(text), 3):
        (folder / LIST).write_bytes(text[:length])
        assert flaw(folder), length
    (folder / LIST).unlink()
    assert flaw(folder) == f"it has no readable {LIST}, so it was not finished"
