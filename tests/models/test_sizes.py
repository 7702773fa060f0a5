"""What a model's token costs is read back as it was counted, or the file says which role and number is wrong."""

import pytest
from factories import SIZES

from specacts.core.errors import UserError
from specacts.core.files import read_json, write_json
from specacts.core.results import save_table
from specacts.core.words import ROLES
from specacts.models.sizes import load_sizes


@pytest.fixture
def path(tmp_path):
    """A file of sizes."""
    save_table(tmp_path / "models.json", SIZES)
    return tmp_path / "models.json"


def test_sizes_survive_a_round_trip_by_role(path):
    found = load_sizes(path)
    assert found == SIZES and list(found) == list(ROLES)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"verifier": {"body": 1}}, r"verifier\.head: Field required; run the stage"),
        ({"strong": {"body": 1, "head": 1, "layers": 2.5, "attention": 1}}, r"strong\.layers: .*\(got '2\.5'\)"),
        ({"cheap": dict(SIZES["cheap"]) | {"width": 3}}, r"cheap\.width: .*\(got '3'\)"),
        ({"cheap": 7}, r"cheap: .*\(got '7'\)"),
    ],
)
def test_a_wrong_size_is_named(path, change, says):
    write_json(path, read_json(path) | change)
    with pytest.raises(UserError, match=rf"models\.json: {says}"):
        load_sizes(path)


def without(path, role: str) -> None:
    write_json(path, {name: size for name, size in read_json(path).items() if name != role})


def test_the_cheap_model_has_to_be_there(path):
    without(path, "cheap")
    with pytest.raises(UserError, match=r"models\.json: cheap: is missing; run the stage that makes it"):
        load_sizes(path)


def test_a_recorded_strong_model_and_a_verifier_that_there_is_not_have_no_size(path):
    without(path, "strong")
    assert list(load_sizes(path)) == ["cheap", "verifier"]
    without(path, "verifier")
    assert list(load_sizes(path)) == ["cheap"]
