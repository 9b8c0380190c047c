"""How a record becomes an event, as the middleware that captured it was told.

It travels in the record, not with the application: two middlewares, or two services of one host, may serve
the same application and differ in it, and what was spooled before a change is built as it was captured.
"""

from typing import NamedTuple


class EventSettings(NamedTuple):
    """The settings that an event depends on; the defaults are the settings' own."""

    api_version: str | None = None
    authorization_headers: tuple[str, ...] = ("authorization",)
    """Header names, lower case, in which a user id is looked for, in this order."""
    authorization_user_id_field: str = "sub"
    """Dotted path of the user id in a JWT's payload."""
    trusted_proxies: tuple[str, ...] | None = None
    """Networks whose forwarding headers are believed; None: the published package's header order."""

    @property
    def on_wire(self) -> "EventSettings | None":
        """What a record carries: nothing for the defaults, which nearly all have."""
        return None if self == DEFAULT else self

    @classmethod
    def from_wire(cls, fields: object) -> "EventSettings":
        """From a record's field. ValueError where it cannot be."""
        if fields is None:
            return DEFAULT
        if not isinstance(fields, (list, tuple)) or len(fields) < len(cls._fields):
            raise ValueError(f"event settings are an array of {len(cls._fields)}")
        version, headers, field, proxies = fields[: len(cls._fields)]
        if not (version is None or isinstance(version, str)) or not isinstance(field, str):
            raise ValueError("an API version and a field's name are texts")
        return cls(version, _texts(headers), field, None if proxies is None else _texts(proxies))


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, (list, tuple)) or not all(isinstance(value, str) for value in values):
        raise ValueError("header names and networks are lists of texts")
    return tuple(values)


DEFAULT = EventSettings()
