"""What the verifier's training starts from."""

from pathlib import Path

from stages.train_verifier import warm_start


def test_the_verifier_starts_from_the_recipes_adapter_only_where_that_fits_its_base(config):
    def start(source: str, **verifier) -> Path | None:
        verifying = config.recipe.verifier.model_copy(update={"warm_start": source})
        recipe = config.recipe.model_copy(update={"verifier": verifying})
        made = config.scale.cheap.model_copy(update={"layers": (0, -1)})
        roles = {"cheap": made, "verifier": made.model_copy(update=verifier)}
        return warm_start(config.model_copy(update={"recipe": recipe, "scale": config.scale.model_copy(update=roles)}))

    assert start("cheap") == Path("models/cheap")
    assert start("cheap", layers=(0, 1, -1)) is None
    assert start("none") is None
