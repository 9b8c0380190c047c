"""What one key of the user's dict is: its name, its default, and where its value comes from."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, field
from typing import Any, NamedTuple, TypeVar

from moesifasgi.shapes import Fault, Shape, parsed

T = TypeVar("T")
ENVIRONMENT_PREFIX = "MOESIF_"


class Entry(NamedTuple):
    """One key of the user's dict."""

    key: str
    default: Any
    """``MISSING`` for a key that has to be given."""
    shape: Shape[Any]
    shown: str
    """The default in words, where its value would not say it."""
    follows: str | None
    """An earlier key whose value is this one's default."""
    secret: bool

    def value(self, settings: Mapping[str, Any], environ: Mapping[str, str], default: Any) -> Any:
        """The value given, or the default. None counts as not given, as does an empty variable."""
        variable = ENVIRONMENT_PREFIX + self.key
        given = settings.get(self.key)
        if given is not None:
            return parsed(self.key, self.shape, given, secret=self.secret)
        if self.shape.read is not None and environ.get(variable):
            where = f"{variable} (environment)"
            return parsed(where, self.shape, environ[variable], self.shape.read, secret=self.secret)
        if default is MISSING:
            raise Fault(f"{self.key}: expected {self.shape.expected}, got nothing")
        return default


def setting(
    key: str,
    default: Any,
    shape: Shape[T],
    *,
    shown: str = "",
    follows: str | None = None,
    secret: bool = False,
) -> T:
    """A dataclass field that a key of the user's dict fills. A secret one stays out of the repr."""
    entry = Entry(key, default, shape, shown, follows, secret)
    made: T = field(default=default, repr=not secret, metadata={"entry": entry})
    return made


def entry_of(of: Field[Any]) -> Entry:
    """The key that fills this field."""
    entry: Entry = of.metadata["entry"]
    return entry
