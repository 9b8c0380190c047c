"""One call as the policy looks at it: its facts, and who sent it by its headers. Before the application has
run they are made of the scope, after it of the Record.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from moesifasgi.enforcement.body import body_value
from moesifasgi.event.build import is_unread
from moesifasgi.event.client_ip import client_ip
from moesifasgi.event.event_settings import EventSettings
from moesifasgi.event.headers import flat_headers
from moesifasgi.event.identity import user_id_from
from moesifasgi.event.record import OUTGOING, Record
from moesifasgi.exchange import Scope
from moesifasgi.policy.facts import MAX_SEARCHING_S, Facts
from moesifasgi.policy.identity import Identity


class Caller:
    """Who sent a request, as its headers and its connection tell. Everything is found when it is asked for.

    Apart from ``Call``, so that its facts do not point back at their owner: a cycle a request is work for the
    garbage collector.
    """

    __slots__ = ("_client", "_flat", "_pairs", "_repeats", "_settings", "_user")

    def __init__(
        self, pairs: Iterable[Any] | None, client: Sequence[object] | None, settings: EventSettings
    ) -> None:
        # An iterator can be read only once, and that is for the application to do.
        self._pairs = () if isinstance(pairs, Iterator) else pairs
        self._client = client
        self._settings = settings
        self._flat: dict[str, str] | None = None
        self._repeats = False
        self._user: tuple[str | None] | None = None

    def headers(self) -> dict[str, str]:
        """Flat; see ``flat_headers``, also for what it raises."""
        if self._flat is None:
            pairs = list(self._pairs or ())
            self._flat = flat_headers(pairs)
            self._repeats = len(self._flat) < len(pairs)
        return self._flat

    def header(self, name: str) -> str | tuple[str, ...] | None:
        """A field's value. One that comes more than once: all of it joined, then each value alone."""
        joined = self.headers().get(name)
        if joined is None or not self._repeats:
            return joined
        values = self.values(name)
        return joined if len(values) == 1 else (joined, *values)

    def values(self, name: str) -> list[str]:
        """A field's values in their order, each as it came."""
        raw = name.encode("latin-1", "replace")
        return [value.decode("latin-1") for found, value in self._pairs or () if found.lower() == raw]

    def ip_address(self) -> str | None:
        return client_ip(self.headers(), self._client, self._settings.trusted_proxies)

    def user(self, answered: Identity = None) -> Identity:
        """Whom IDENTIFY_USER ``answered``; where that says nobody, the authorization header is asked."""
        if answered is not None:
            return answered
        if self._user is None:
            settings = self._settings
            found = user_id_from(
                self.headers(), settings.authorization_headers, settings.authorization_user_id_field
            )
            self._user = (found,)
        return self._user[0]


class _Application(Caller):
    """The sender of an outgoing call: the application. Its credentials name no user of its API."""

    __slots__ = ()

    def ip_address(self) -> str | None:
        return None

    def user(self, answered: Identity = None) -> Identity:
        return answered


class Call:
    """One call: its ``facts`` and its ``caller``."""

    __slots__ = ("caller", "facts")

    def __init__(self, facts: Facts, caller: Caller) -> None:
        self.facts = facts
        self.caller = caller

    @classmethod
    def of_scope(cls, scope: Scope, settings: EventSettings) -> "Call":
        """What is known before the application runs. What the scope holds is looked at later."""
        caller = Caller(scope.get("headers"), scope.get("client"), settings)
        return cls(_facts(scope.get("method"), scope.get("path"), scope.get("root_path"), caller), caller)

    @classmethod
    def of_record(cls, record: Record, settings: EventSettings) -> "Call":
        """What is known after it; a body that is not recorded whole stays unseen."""
        kind = _Application if record.direction == OUTGOING else Caller
        caller = kind(record.request_headers, record.client, settings)
        call = cls(_facts(record.method, record.path, record.root_path, caller), caller)
        if record.request_body is not None and is_whole(record, caller.headers()):
            call.see_body(record.request_body)
        if record.status is not None:
            call.facts.see_status(record.status)
        return call

    def decide_anew(self) -> None:
        """Another decision, with time of its own: what slowed down the last one must not switch off this."""
        self.facts.searching_left_s = MAX_SEARCHING_S

    def see_body(self, raw: bytes) -> None:
        """The whole request body is here."""
        caller = self.caller
        self.facts.see_body(
            lambda: body_value(raw, caller.headers(), next(iter(caller.values("content-type")), ""))
        )


def is_whole(record: Record, headers: Mapping[str, str]) -> bool:
    """Whether what was captured of the request body is all of it. ``headers`` are the request's, flat."""
    kept = len(record.request_body or b"")
    return kept == record.request_body_size and not is_unread(record, headers)


def _facts(method: object, path: object, root_path: object, caller: Caller) -> Facts:
    return Facts(
        verb=str(method or "GET"),
        route=_route(str(path or "/"), str(root_path or "")),
        ip_address=caller.ip_address,
        header=caller.header,
    )


def _route(path: str, root_path: str) -> str:
    """The whole path, decoded: what the application routes by. A rule on ``/admin`` must not be got around by
    asking for ``/%61dmin``.
    """
    root = root_path.rstrip("/")
    return path if not root or path == root or path.startswith(root + "/") else root + path
