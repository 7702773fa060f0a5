"""A result is read back as it was written, and a file that is no such result says which field is wrong."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from specacts.core.errors import UserError
from specacts.core.results import Estimate, Result, load_table, save_table, spread_out


class Part(Result):
    share: Estimate


class Toy(Result):
    """One of every kind of field, no two of a kind side by side."""

    zeta: float
    auroc: Estimate
    name: str
    cost: dict[str, Estimate]
    note: str | None
    count: int
    lost: Estimate | None = None
    remark: str | None = None
    parts: dict[str, Part]


AUROC, FLOPS, MONEY = Estimate(0.8, 0.7, 0.9), Estimate(1.0, 0.9, 1.1), Estimate(2.0, 1.5, 2.5)


def toy(**fields: Any) -> Toy:
    known: dict[str, Any] = {"zeta": 1.5, "auroc": AUROC, "name": "a", "cost": {"flops": FLOPS, "money": MONEY}}
    known |= {"note": None, "count": 3, "parts": {"D": Part(share=AUROC)}}
    return Toy(**(known | fields))


def written(path: Path, result: Result, **how: bool) -> dict[str, Any]:
    result.save(path, **how)
    return json.loads(path.read_text())


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "toy.json"


# -- as it is written ------------------------------------------------------------------------------------------


def test_estimates_are_three_numbers_side_by_side_and_keys_stand_in_the_fields_order(path):
    assert written(path, toy()) == {
        "zeta": 1.5,
        "auroc": 0.8,
        "auroc_low": 0.7,
        "auroc_high": 0.9,
        "name": "a",
        "cost": {
            "flops": 1.0,
            "flops_low": 0.9,
            "flops_high": 1.1,
            "money": 2.0,
            "money_low": 1.5,
            "money_high": 2.5,
        },
        "note": None,
        "count": 3,
        "parts": {"D": {"share": 0.8, "share_low": 0.7, "share_high": 0.9}},
    }
    keys = [key for key, _ in json.loads(path.read_text(), object_pairs_hook=list)]
    assert keys == ["zeta", "auroc", "auroc_low", "auroc_high", "name", "cost", "note", "count", "parts"]


def test_a_tables_keys_keep_their_own_order(path):
    turned = written(path, toy(cost={"money": MONEY, "flops": FLOPS}))
    assert list(turned["cost"])[::3] == ["money", "flops"]
    assert list(Toy.load(path).cost) == ["money", "flops"]


def test_what_is_none_by_default_is_left_out_and_what_has_to_be_said_is_null(path):
    values = written(path, toy())
    assert not {"lost", "lost_low", "remark"} & values.keys() and values["note"] is None
    values = written(path, toy(lost=AUROC, remark="b", note="c"))
    assert (values["lost"], values["lost_low"], values["remark"], values["note"]) == (0.8, 0.7, "b", "c")


def test_none_said_aloud_is_none(path):
    assert toy(lost=None, remark=None) == toy()
    assert written(path, toy(lost=None)) == written(path, toy())


def test_figures_are_rounded_and_exact_ones_keep_every_digit(path):
    fine = toy(zeta=1 / 3, auroc=Estimate(1 / 3, 0.1 + 0.2, 2 / 3))
    assert written(path, fine)["auroc_low"] == 0.3 and Toy.load(path).zeta == 0.3333
    fine.save(path, exact=True)
    assert Toy.load(path) == fine


def test_a_number_that_is_none_is_null(path):
    nothing = toy(auroc=Estimate(math.nan, math.nan, math.nan), cost={"flops": Estimate(1.0, -math.inf, math.inf)})
    values = written(path, nothing)
    assert [values[key] for key in ("auroc", "auroc_low", "auroc_high")] == [None] * 3
    assert list(values["cost"].values()) == [1.0, None, None]
    back = Toy.load(path)
    assert all(map(math.isnan, back.auroc)) and back.cost["flops"].value == 1 and math.isnan(back.cost["flops"].low)


def test_otherwise_fills_in_for_what_is_no_number():
    assert Estimate(math.nan, 0.5, math.inf).otherwise(0.0) == (0.0, 0.5, 0.0)
    assert AUROC.otherwise(0.0) == AUROC
    assert spread_out("a", Estimate(0.5, math.nan, 1.0)) == {"a": 0.5, "a_low": None, "a_high": 1.0}


# -- read back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{}, {"lost": AUROC, "remark": "b", "note": "c"}, {"cost": {}, "parts": {}}])
def test_a_result_survives_its_file(path, fields):
    toy(**fields).save(path, exact=True)
    assert Toy.load(path) == toy(**fields)
    assert isinstance(Toy.load(path).auroc, Estimate)


def test_what_was_read_is_written_as_it_was(path):
    toy(lost=AUROC).save(path)
    before = path.read_bytes()
    Toy.load(path).save(path)
    assert path.read_bytes() == before


def test_a_result_cannot_be_changed():
    with pytest.raises(ValidationError):
        toy().zeta = 2.0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"zeta": ...}, "zeta: Field required; run the stage that makes it"),
        ({"note": ...}, "note: Field required"),  # it may be null, and has to be said
        ({"auroc": ..., "auroc_low": ..., "auroc_high": ...}, "auroc: Field required"),
        ({"auroc": ...}, r"auroc\.value: Field required"),
        ({"auroc_low": ...}, r"auroc\.low: Field required"),
        ({"auroc_low": ..., "auroc_high": ...}, r"auroc\.low: Field required"),
        ({"auroc_high": "much"}, r"auroc\.high: .*number.*\(got 'much'\)"),
        ({"auroc": "much"}, r"auroc\.value: .*number.*\(got 'much'\)"),
        ({"lost_low": 0.5}, r"lost\.value: Field required"),
        ({"zeta": "much"}, r"zeta: .*number.*\(got 'much'\)"),
        ({"count": 2.5}, r"count: .*integer.*\(got '2\.5'\)"),
        ({"typo": 1}, r"typo: Extra inputs are not permitted \(got '1'\)"),
        ({"cost": 1}, r"cost: .*dictionary.*\(got '1'\)"),
        ({"cost": {"flops": 1.0, "flops_high": 1.1}}, r"cost\.flops\.low: Field required"),
        ({"cost": {"flops_low": 1.0, "flops_high": 1.1}}, r"cost\.flops\.value: Field required"),
        ({"cost": {"flops": [], "flops_low": 1.0, "flops_high": 1.1}}, r"cost\.flops\.value: .*number.*\(got '\[\]'\)"),
        ({"parts": {"D": {"share": 1, "share_low": 1}}}, r"parts\.D\.share\.high: Field required"),
        ({"parts": {"D": {}}}, r"parts\.D\.share: Field required"),
    ],
)
def test_a_missing_wrong_or_unknown_field_is_named_with_its_file(path, change, says):
    values = written(path, toy()) | change
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not ...}))
    with pytest.raises(UserError, match=rf"toy\.json: {says}") as caught:
        Toy.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "null", '"a"', "3"])
def test_a_file_that_holds_something_else_altogether_says_so(path, text):
    path.write_text(text)
    with pytest.raises(UserError, match=r"toy\.json: \(top level\): .*dictionary.*got"):
        Toy.load(path)


def test_a_file_that_is_not_there_or_no_json_says_so(path):
    with pytest.raises(UserError, match=r"toy\.json: no such file; run the stage that makes it"):
        Toy.load(path)
    path.write_text("{")
    with pytest.raises(UserError, match=r"toy\.json: not valid JSON"):
        Toy.load(path)


# -- tables: one result by name --------------------------------------------------------------------------------


def test_a_table_survives_its_file_in_the_order_that_is_asked_for(path):
    table = {"D": Part(share=Estimate(1 / 3, 0.0, 1.0)), "C": Part(share=AUROC)}
    save_table(path, table, exact=True)
    assert load_table(path, Part, ("C", "D")) == table and list(load_table(path, Part, ("C", "D"))) == ["C", "D"]
    assert list(json.loads(path.read_text())) == ["D", "C"]
    assert load_table(path, Part, ["C"]) == {"C": table["C"]}  # others may stand beside it
    save_table(path, table)
    assert load_table(path, Part, ["D"])["D"].share.value == 0.3333


def test_a_table_names_what_is_missing_or_wrong_in_it(path):
    save_table(path, {"C": Part(share=AUROC)})
    with pytest.raises(UserError, match=r"toy\.json: D: is missing; run the stage that makes it"):
        load_table(path, Part, ("C", "D"))
    path.write_text('{"C": {"share": 1, "share_low": "x", "share_high": 1}}')
    with pytest.raises(UserError, match=r"toy\.json: C\.share\.low: .*\(got 'x'\)"):
        load_table(path, Part, ("C",))
    path.write_text("[]")
    with pytest.raises(UserError, match=r"toy\.json: \(top level\): .*dictionary"):
        load_table(path, Part, ("C",))
