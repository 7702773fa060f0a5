"""A bundle's types: what they keep and what they refuse."""

import pytest

from specacts.core.errors import UserError
from specacts.serving.bundle import Offer, Watched


def test_an_offer_comes_back_from_its_file_as_it_was(tmp_path):
    offer = Offer(
        policy="F",
        threshold={"retrieval": 0.25},
        risk=0.1,
        watched=Watched(limit=0.1, basis="risk"),
        taken=0.8,
        cost=0.4,
    )
    offer.save(tmp_path / "offer.json", exact=True)
    assert Offer.load(tmp_path / "offer.json") == offer


def test_a_field_that_is_missing_is_named(tmp_path):
    (tmp_path / "offer.json").write_text('{"policy": "F"}')
    with pytest.raises(UserError, match="threshold"):
        Offer.load(tmp_path / "offer.json")
