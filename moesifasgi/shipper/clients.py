"""The ways out to the collector: one HTTP client for each proxy and CA bundle, and what names us there."""

import threading
from collections.abc import Mapping

from moesifasgi.shipper.http import Http, NoAnswer, Timeouts
from moesifasgi.version import VERSION
from moesifasgi.wire.application import Application

MAX_CLIENTS = 32
"""Ways out that are kept at once; each has a thread for its deadlines, and connections."""


class Clients:
    """Any thread may ask. Beyond ``MAX_CLIENTS`` the one goes that was asked for longest ago."""

    def __init__(self, timeouts: Timeouts | None = None) -> None:
        self._timeouts = timeouts
        self._lock = threading.Lock()
        self._clients: dict[tuple[str | None, str | None, int], Http] = {}
        self._closed = False

    def client(self, application: Application, connections: int) -> Http:
        """The client that an application's settings name. NoAnswer after ``close``."""
        key = (application.http_proxy, application.ca_bundle, connections)
        with self._lock:
            if self._closed:
                raise NoAnswer("the shipper is leaving")
            client = self._clients.pop(key, None) or Http(
                proxy=application.http_proxy,
                ca_bundle=application.ca_bundle,
                connections=connections,
                timeouts=self._timeouts,
            )
            self._clients[key] = client
            gone = self._clients.pop(next(iter(self._clients))) if len(self._clients) > MAX_CLIENTS else None
        if gone is not None:
            # What it has under way is cut off, and tried again.
            gone.close()
        return client

    def close(self) -> None:
        """Cut off what is under way. May be called twice; later requests fail."""
        with self._lock:
            self._closed = True
            clients = list(self._clients.values())
        for client in clients:
            client.close()


def url(application: Application, path: str) -> str:
    """The base URI may carry a path of its own and a trailing slash."""
    return f"{application.base_uri.rstrip('/')}{path}"


def identification(application: Application) -> dict[str, str]:
    """The headers that every request to the collector bears."""
    return {"X-Moesif-Application-Id": application.application_id, "User-Agent": user_agent(application)}


def user_agent(application: Application) -> str:
    """``moesifasgi/<version>``, and the application's own suffix."""
    suffix = f" {application.user_agent_suffix}" if application.user_agent_suffix else ""
    return f"moesifasgi/{VERSION}{suffix}"


def named_tags(headers: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The tags of configuration and rules, as an answer names them."""
    return headers.get("X-Moesif-Config-ETag"), headers.get("X-Moesif-Rules-Tag")
