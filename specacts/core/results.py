"""Results that one stage writes and another reads: frozen models, one a file, with intervals as one value.

    class Quality(Result):
        auroc: Estimate
        cost: dict[str, Estimate]

    Quality(auroc=Estimate(0.8, 0.7, 0.9), cost={"flops": Estimate(1.0, 0.9, 1.1)}).save(path)
    Quality.load(path).auroc.low

In the file an `Estimate` is three numbers side by side, `auroc`, `auroc_low`, `auroc_high`. NaN is null there; a field
that is None by default is left out.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_serializer, model_validator

from specacts.core.errors import UserError
from specacts.core.files import read_json, write_exact_json, write_json

ENDS = ("", "_low", "_high")
Row = TypeVar("Row", bound=BaseModel)
Found = TypeVar("Found")
Key = TypeVar("Key", bound=str)


class Estimate(NamedTuple):
    """A value and its 95 % interval; NaN where there is nothing to take it from."""

    value: float
    low: float
    high: float

    def otherwise(self, empty: float) -> "Estimate":
        """The same, with `empty` in place of NaN."""
        return Estimate(*(number if math.isfinite(number) else empty for number in self))


def spread_out(name: str, estimate: Estimate) -> dict[str, float | None]:
    """`name`, `name_low`, `name_high`; None where there is no such number (JSON has no NaN)."""
    pairs = zip(ENDS, estimate, strict=True)
    return {f"{name}{end}": number if math.isfinite(number) else None for end, number in pairs}


class Result(BaseModel):
    """A frozen result that refuses unknown and missing fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file, or say which file and field is wrong."""
        return _read(path, cls.model_validate)

    def save(self, path: Path, exact: bool = False) -> None:
        """Write the file in one step; rounded as metrics are, or `exact`: a threshold must lie where it was tried."""
        (write_exact_json if exact else write_json)(path, self.model_dump(mode="json"))

    @model_serializer(mode="wrap")
    def _flat(self, dump: Any) -> dict[str, Any]:
        dumped = dump(self)
        flat: dict[str, Any] = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if isinstance(value, Estimate):
                flat |= spread_out(name, value)
            elif name in _tables(type(self)):
                flat[name] = {
                    key: number for one, each in value.items() for key, number in spread_out(one, each).items()
                }
            elif value is not None or field.is_required():
                flat[name] = dumped[name]
        return flat

    @model_validator(mode="before")
    @classmethod
    def _folded(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        folded = dict(values)
        for name in _estimates(cls):
            if isinstance(folded.get(name), int | float) or any(f"{name}{end}" in folded for end in ENDS[1:]):
                folded[name] = _fold(folded, name)
        for name in _tables(cls):
            table = folded.get(name)
            if isinstance(table, Mapping) and not all(isinstance(one, Estimate) for one in table.values()):
                keys = (str(key).removesuffix("_low").removesuffix("_high") for key in table)
                folded[name] = {key: _fold(dict(table), key) for key in dict.fromkeys(keys)}
        return folded


def load_table(path: Path, model: type[Row], names: Iterable[Key]) -> dict[Key, Row]:
    """Read a file that holds one result by name, each of `names`, or say which file, name and field is wrong."""
    names = tuple(names)
    table: TypeAdapter[dict[str, Row]] = TypeAdapter(dict[str, model])  # type: ignore[valid-type]  # pydantic takes it
    found = _read(path, table.validate_python)
    lacking = [name for name in names if name not in found]
    if lacking:
        raise UserError(f"{path}: {lacking[0]}: is missing; run the stage that makes it (`dvc repro`)")
    return {name: found[name] for name in names}


def save_table(path: Path, table: Mapping[Key, Result], exact: bool = False) -> None:
    """Write a file that holds one result by name."""
    values = {name: result.model_dump(mode="json") for name, result in table.items()}
    (write_exact_json if exact else write_json)(path, values)


def _read(path: Path, validate: Callable[[Any], Found]) -> Found:
    try:
        return validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "(top level)"
        got = "" if first["type"] == "missing" else f" (got {str(first['input'])[:80]!r})"
        raise UserError(f"{path}: {field}: {first['msg']}{got}; run the stage that makes it (`dvc repro`)") from error


def _fold(values: dict[str, Any], name: str) -> dict[str, Any]:
    """Take the three numbers out of `values`; what is missing or no number is for the validation to refuse."""
    there = {field: f"{name}{end}" for field, end in zip(Estimate._fields, ENDS, strict=True) if name + end in values}
    parts = {field: values.pop(key) for field, key in there.items()}
    return {field: math.nan if number is None else number for field, number in parts.items()}


def _estimates(model: type[Result]) -> Iterable[str]:
    """The fields that hold an `Estimate`, or one or None."""
    return [
        n
        for n, field in model.model_fields.items()
        if Estimate in (field.annotation, *get_args(field.annotation)) and not _is_table(field.annotation)
    ]


def _tables(model: type[Result]) -> Iterable[str]:
    """The fields that hold a dictionary of estimates."""
    return [name for name, field in model.model_fields.items() if _is_table(field.annotation)]


def _is_table(annotation: Any) -> bool:
    return annotation == dict[str, Estimate]
