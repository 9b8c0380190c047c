"""The inspector's own API, under ``/inspector``: look at what arrived, tell the collector how to behave."""

from collections.abc import Callable, Iterator
from importlib.resources import files
from itertools import islice
from typing import Any

import orjson

from moesifasgi.inspector.arrival import identity_of, transaction_id_of
from moesifasgi.inspector.behaviour import Behaviour, Script
from moesifasgi.inspector.dashboard import Dashboard, Document
from moesifasgi.inspector.decoding import Refused, parsed
from moesifasgi.inspector.message import JSON, Answer, Request, json_answer
from moesifasgi.inspector.newest import Kept
from moesifasgi.inspector.store import Store
from moesifasgi.inspector.tally import STREAMS
from moesifasgi.wire.application import Application

PREFIX = "/inspector"
_PAGE_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'",
}
_LINES_IN_A_PIECE = 5000


def is_control(path: str) -> bool:
    """Whether a path belongs to this API."""
    return path == PREFIX or path.startswith(PREFIX + "/")


class Control:
    """Answers the requests of this API; never misbehaves."""

    def __init__(self, store: Store, dashboard: Dashboard, script: Script) -> None:
        self._store = store
        self._dashboard = dashboard
        self._script = script
        self._routes: dict[tuple[str, str], Callable[[Request], Answer]] = {
            ("GET", ""): self._page,
            ("GET", "summary"): lambda _: json_answer(200, self._store.summary()),
            ("GET", "transaction-ids"): self._transaction_ids,
            ("GET", "behaviour"): self._behaviour,
            ("PUT", "behaviour"): self._set_behaviour,
            ("DELETE", "behaviour"): self._clear_behaviour,
            ("GET", "config"): self._config,
            ("PUT", "config"): self._set_config,
            ("GET", "rules"): self._rules,
            ("PUT", "rules"): self._set_rules,
            ("DELETE", "events"): self._reset,
            **{("GET", stream): self._newest for stream in STREAMS},
        }

    def answer(self, request: Request) -> Answer:
        """Answer one request whose path ``is_control``."""
        name = _name(request)
        route = self._routes.get((request.method, name))
        try:
            if route is not None:
                return route(request)
            allowed = [method for method, known in self._routes if known == name]
            raise (
                Refused(405, f"expected {' or '.join(allowed)}") if allowed else Refused(404, "no such page")
            )
        except Refused as refused:
            return json_answer(refused.status, {"error": refused.reason})

    def _page(self, _request: Request) -> Answer:
        return Answer(200, files(__package__).joinpath("page.html").read_bytes(), _PAGE_HEADERS)

    def _newest(self, request: Request) -> Answer:
        wanted = _wanted_identity(request)
        last_four = request.query.get("application", "")
        found = (
            kept
            for kept in self._store.newest(_name(request))
            if wanted in (None, kept.identity) and kept.application_id.endswith(last_four)
        )
        rows = (_row(kept) for kept in islice(found, _limit(request)))
        return Answer(200, b"[%b]" % b",\n".join(rows), {"Content-Type": JSON})

    def _transaction_ids(self, request: Request) -> Answer:
        return Answer(
            200,
            self._pieces(request.query.get("application", "")),
            {"Content-Type": "application/x-ndjson"},
        )

    def _pieces(self, last_four: str) -> Iterator[bytes]:
        for application_id in self._store.applications():
            if not application_id.endswith(last_four):
                continue
            identities = self._store.identities(application_id)
            while lines := [f'"{transaction_id_of(one)}"\n' for one in islice(identities, _LINES_IN_A_PIECE)]:
                yield "".join(lines).encode()

    def _behaviour(self, _request: Request) -> Answer:
        told = [behaviour.to_json() for behaviour in self._script.behaviours]
        return json_answer(200, told if len(told) > 1 else next(iter(told), None))

    def _set_behaviour(self, request: Request) -> Answer:
        document = parsed(request.body)
        wanted = document if isinstance(document, list) and document else [document]
        try:
            behaviours = [Behaviour.from_json(each) for each in wanted]
        except ValueError as error:
            raise Refused(400, str(error)) from error
        self._script.follow(*behaviours)
        return self._behaviour(request)

    def _clear_behaviour(self, _request: Request) -> Answer:
        self._script.follow(None)
        return Answer(204)

    def _config(self, request: Request) -> Answer:
        return _served(self._dashboard.config(request.query.get("application_id")))

    def _rules(self, request: Request) -> Answer:
        return _served(self._dashboard.rules(request.query.get("application_id")))

    def _set_config(self, request: Request) -> Answer:
        config = _of_type(dict, "a JSON object", request)
        self._dashboard.set_config(request.query.get("application_id"), config)
        return Answer(204)

    def _set_rules(self, request: Request) -> Answer:
        rules = _of_type(list, "a JSON array", request)
        self._dashboard.set_rules(request.query.get("application_id"), rules)
        return Answer(204)

    def _reset(self, _request: Request) -> Answer:
        self._store.reset()
        return Answer(204)


def _name(request: Request) -> str:
    return request.path.removeprefix(PREFIX).strip("/")


def _served(document: Document) -> Answer:
    """A document as the collector serves it, with its tag."""
    return Answer(200, document.body, {"Content-Type": JSON, "ETag": f'"{document.tag}"'})


def _of_type(kind: type, what: str, request: Request) -> Any:
    document = parsed(request.body)
    if not isinstance(document, kind):
        raise Refused(400, f"expected {what}")
    return document


def _limit(request: Request) -> int:
    text = request.query.get("limit", "50")
    if not text.isdecimal() or len(text) > 9:
        raise Refused(400, "limit: expected a number")
    return int(text)


def _wanted_identity(request: Request) -> bytes | None:
    text = request.query.get("transaction_id")
    try:
        return identity_of(text) if text else None
    except ValueError as error:
        raise Refused(400, "transaction_id: expected a UUID") from error


def _row(kept: Kept) -> bytes:
    head = orjson.dumps({"arrived_at": kept.at, "application": Application(kept.application_id).label})
    return b'%b,"item":%b}' % (head[:-1], kept.raw)
