"""What the dashboard decided: configuration and governance rules per application, with their tags."""

import hashlib
import itertools
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson


class Document(NamedTuple):
    """JSON as it is served. The tag is new each time that something is set, be it the same as before."""

    body: bytes
    tag: str


class Dashboard:
    """Thread-safe. What is set for the application None holds for all that have nothing of their own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._configs: dict[str | None, Document] = {None: self._document({})}
        self._rules: dict[str | None, Document] = {None: self._document([])}

    def set_config(self, application_id: str | None, config: Mapping[str, Any]) -> None:
        """What ``GET /v1/config`` answers from now on."""
        self._set(self._configs, application_id, dict(config))

    def set_rules(self, application_id: str | None, rules: list[Any]) -> None:
        """What ``GET /v1/rules`` answers from now on."""
        self._set(self._rules, application_id, rules)

    def config(self, application_id: str | None) -> Document:
        """What is answered to this application; None: to one that has nothing of its own."""
        return self._get(self._configs, application_id)

    def rules(self, application_id: str | None) -> Document:
        """The same of its rules."""
        return self._get(self._rules, application_id)

    def tags(self, application_id: str) -> dict[str, str]:
        """Both tags as response headers."""
        return {
            "X-Moesif-Config-ETag": self.config(application_id).tag,
            "X-Moesif-Rules-Tag": self.rules(application_id).tag,
        }

    def _set(self, documents: dict[str | None, Document], key: str | None, value: Any) -> None:
        document = self._document(value)
        with self._lock:
            documents[key] = document

    def _document(self, value: Any) -> Document:
        body = orjson.dumps(value)
        # The digest tells apart what two collectors, one after the other, have served.
        return Document(body, f"{next(self._numbers)}-{hashlib.sha256(body).hexdigest()[:12]}")

    def _get(self, documents: dict[str | None, Document], key: str | None) -> Document:
        with self._lock:
            return documents.get(key) or documents[None]
