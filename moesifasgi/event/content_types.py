"""Which bodies are recorded, by their media type (LOG_CONTENT_TYPES)."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache

from moesifasgi.event.headers import media_type


class ContentTypes:
    """A list of media types such as ``application/json``, ``text/*`` or ``application/*+json``."""

    __slots__ = ("_admit",)

    def __init__(self, patterns: tuple[str, ...]) -> None:
        # Applications answer in a handful of types; what clients make up is forgotten again.
        self._admit = lru_cache(maxsize=256)(lambda media: any(fnmatchcase(media, each) for each in patterns))

    def admit(self, headers: Iterable[Iterable[bytes]]) -> bool:
        """Whether a body with these header fields is one of them; a body that names no type is none.

        Where the type is named more than once, each has to be one of them.
        """
        named = [value for name, value in headers if name.lower() == b"content-type"]
        return bool(named) and all(self._admit(media_type(value.decode("latin-1"))[0]) for value in named)
