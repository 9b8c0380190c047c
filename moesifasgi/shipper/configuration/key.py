"""What one key of the configuration is: its name, what its value looks like, and what it means."""

from collections.abc import Iterator
from dataclasses import field, fields
from typing import Any, NamedTuple, TypeVar

from moesifasgi.shapes import Shape

T = TypeVar("T")
ENVIRONMENT_PREFIX = "MOESIF_SHIPPER_"


class Key(NamedTuple):
    """One key; ``name`` is how the file spells it."""

    name: str
    default: Any
    shape: Shape[Any]
    meaning: str
    example: str
    """A value as the file would hold it: the default, or one that shows how it looks."""
    live: bool
    """Whether a reload can change it; the others need a restart."""
    secret: bool

    @property
    def option(self) -> str:
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        return f"{ENVIRONMENT_PREFIX}{self.name.upper()}"


def key(
    name: str,
    default: Any,
    shape: Shape[T],
    meaning: str,
    *,
    example: str,
    live: bool = True,
    secret: bool = False,
) -> T:
    """A dataclass field that a key fills. A secret one stays out of the repr."""
    described = Key(name, default, shape, meaning, example, live, secret)
    made: T = field(default=default, repr=not secret, metadata={"key": described})
    return made


def keys_of(section: Any) -> Iterator[tuple[str, Key]]:
    """Each field's name and its key."""
    for found in fields(section):
        if "key" in found.metadata:
            yield found.name, found.metadata["key"]
