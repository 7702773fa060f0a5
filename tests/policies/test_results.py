"""What the calibrate stage leaves is read back as it was, or refused with file and field."""

from pathlib import Path
from typing import Any

import pytest

from specacts.core.errors import UserError
from specacts.core.files import read_json, write_json
from specacts.policies.decide import NEVER
from specacts.policies.results import Asked, Promise, Thresholds
from specacts.policies.table import JUDGING

THRESHOLDS = Thresholds(policies=dict.fromkeys(JUDGING, 0.1 + 0.2), most_accurate="A", best_other="F")
ASKED = Asked(
    risk=0.1,
    by_type={"file_write": 0.0},
    policies={"D": {"file_write": NEVER, "repair": 1 / 3}, "G": 0.7},
    cheapest="D",
)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "found.json"


@pytest.mark.parametrize(
    "result", [THRESHOLDS, Promise(cheapest={"0.1": "A"}, asked=None), Promise(cheapest={"0.1": "F"}, asked=ASKED)]
)
def test_thresholds_and_promises_survive_their_files_to_the_last_digit(result, path):
    result.save(path, exact=True)
    assert type(result).load(path) == result


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"policies": {"C": 0.5}, "best_other": "C"}, "policies: F is missing"),
        ({"policies": dict.fromkeys(JUDGING, "x")}, r"policies\.C: .*\(got 'x'\)"),
        ({"policies": 0.5}, r"policies: .*\(got '0\.5'\)"),
        ({"best_other": "Z"}, "best_other: 'Z' is not one of C, D, E, F, G, H"),
        ({"most_accurate": None}, "most_accurate: .*"),
    ],
)
def test_wrong_thresholds_are_refused(path, change: dict[str, Any], says: str):
    THRESHOLDS.save(path, exact=True)
    write_json(path, read_json(path) | change)
    with pytest.raises(UserError, match=rf"found\.json: .*{says}"):
        Thresholds.load(path)


def test_a_promise_for_a_type_that_does_not_exist_is_refused(path):
    Promise(cheapest={}, asked=ASKED).save(path, exact=True)
    values = read_json(path)
    values["asked"]["by_type"] = {"dancing": 0.1}
    write_json(path, values)
    with pytest.raises(UserError, match=r"found\.json: asked\.by_type\.dancing"):
        Promise.load(path)
