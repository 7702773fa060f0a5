"""Converted bases are gone by only while every byte of them is as it was."""

import pytest
from damage import flip

from specacts.config import Wheel
from specacts.core.files import published_dir
from specacts.core.manifest import LIST, seal
from stages import fetch

SOURCE = Wheel(kind="wheel", package="some", version="1", sha256="0" * 64, path="model")


@pytest.fixture
def conversions(monkeypatch) -> list[int]:
    """What `converted` lets be converted; a toy in a real one's place."""
    done: list[int] = []

    def convert(source, folder, where):
        done.append(1)
        with published_dir(folder) as out:
            (out / "model.safetensors").write_bytes(b"weights" * 100)
            seal(out)

    monkeypatch.setattr(fetch, "convert", convert)
    return done


def test_a_base_is_converted_once(tmp_path, conversions):
    for _ in range(2):
        assert fetch.converted(SOURCE, tmp_path / "base", "here") == tmp_path / "base"
    assert len(conversions) == 1


@pytest.mark.parametrize("name", ["model.safetensors", LIST])
def test_a_damaged_one_is_converted_again_and_that_is_said(tmp_path, conversions, capsys, name):
    fetch.converted(SOURCE, tmp_path / "base", "here")
    whole = (tmp_path / "base/model.safetensors").read_bytes()
    flip(tmp_path / "base" / name)
    fetch.converted(SOURCE, tmp_path / "base", "here")
    assert len(conversions) == 2 and capsys.readouterr().out.endswith("; converting again\n")
    assert (tmp_path / "base/model.safetensors").read_bytes() == whole


def test_one_without_a_list_is_not_trusted(tmp_path, conversions):
    """As versions left them that kept none."""
    fetch.converted(SOURCE, tmp_path / "base", "here")
    (tmp_path / "base" / LIST).unlink()
    fetch.converted(SOURCE, tmp_path / "base", "here")
    assert len(conversions) == 2
