"""How the collector answers when it behaves: a Request in, an Answer out. Knows no socket, no misbehaviour.

Where Moesif's documentation leaves something open, the stand-in is the stricter one: a batch with one
invalid item is refused whole (unless told otherwise), and If-None-Match is honoured.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from http import HTTPStatus
from typing import Any

import orjson

from moesifasgi.inspector.arrival import Arrival, Upload, arrival
from moesifasgi.inspector.dashboard import Dashboard, Document
from moesifasgi.inspector.decoding import MAX_BODY_BYTES, Refused, check_content_type, decompressed, parsed
from moesifasgi.inspector.message import APPLICATION_ID, JSON, Answer, Request, json_answer
from moesifasgi.inspector.schema import faults_of
from moesifasgi.inspector.store import Store

MAX_ACTIONS_BYTES = 15_000_000
"""The collector's limit of a batch of actions, before compression."""
MAX_FAULTS_TOLD = 20
_ENDPOINT = re.compile(
    r"/(v1/(?P<stream>events|users|companies|subscriptions|actions)(?P<batch>/batch)?"
    r"|v1/(?P<policy>config|rules)|health/probe)$"
)


class Strictness(Enum):
    """What one invalid item costs."""

    BATCH = "batch"
    """Its whole batch: 400, nothing is stored."""
    ITEM = "item"
    """Only itself: 201, the others are stored."""


def endpoint_of(path: str) -> str | None:
    """The endpoint without what a proxy may have put before it; None if there is no such endpoint."""
    found = _ENDPOINT.search(path.rstrip("/"))
    return found.group() if found else None


def stream_of(endpoint: str) -> str | None:
    """What is uploaded to an endpoint (``events``, ``users`` …), if anything."""
    found = _ENDPOINT.fullmatch(endpoint)
    return found["stream"] if found else None


class Contract:
    """The endpoints of Moesif's API. ``strict`` and ``accepted_applications`` may be changed at any time."""

    def __init__(self, store: Store, dashboard: Dashboard, clock: Callable[[], float] = time.time) -> None:
        self.strict = Strictness.BATCH
        self.accepted_applications: frozenset[str] | None = None
        """Ids that are not answered with 401; None: all."""
        self._store = store
        self._dashboard = dashboard
        self._clock = clock

    def answer(self, request: Request) -> Answer:
        """Answer one request whose path is an endpoint (``endpoint_of``)."""
        try:
            return self._answer(request)
        except Refused as refused:
            return json_answer(refused.status, {"error": refused.reason, "faults": refused.faults})

    def _answer(self, request: Request) -> Answer:
        endpoint = _ENDPOINT.fullmatch(request.path)
        if endpoint is None:
            raise Refused(404, "no such endpoint")
        expected = "POST" if endpoint["stream"] else "GET"
        if request.method != expected:
            raise Refused(405, f"expected {expected}, got {request.method}")
        if endpoint["stream"]:
            return self._upload(request, endpoint["stream"], in_batch=bool(endpoint["batch"]))
        if endpoint["policy"]:
            return self._policy(request, endpoint["policy"])
        return json_answer(200, {"status": True, "region": "local"})

    def _application_of(self, request: Request) -> str:
        application_id: str | None = request.headers.get(APPLICATION_ID)
        if not application_id:
            raise Refused(401, f"expected a header {APPLICATION_ID}")
        if self.accepted_applications is not None and application_id not in self.accepted_applications:
            raise Refused(401, "unknown application")
        if not self._store.admits(application_id):
            raise Refused(401, "too many applications for this inspector")
        return application_id

    def _policy(self, request: Request, name: str) -> Answer:
        application_id = self._application_of(request)
        tags = self._dashboard.tags(application_id)
        choose = self._dashboard.config if name == "config" else self._dashboard.rules
        document = choose(application_id)
        if _is_known(document, request):
            return Answer(HTTPStatus.NOT_MODIFIED, headers=tags)
        return Answer(200, document.body, {"Content-Type": JSON, **tags})

    def _upload(self, request: Request, stream: str, *, in_batch: bool) -> Answer:
        application_id = self._application_of(request)
        check_content_type(request.headers.get("Content-Type"))
        limit = MAX_ACTIONS_BYTES if stream == "actions" else MAX_BODY_BYTES
        body = decompressed(request.body, request.headers.get("Content-Encoding"), limit)
        document = parsed(body)
        if in_batch and not isinstance(document, list):
            raise Refused(400, f"expected an array of {stream}")
        items = [(f"$[{i}]", item) for i, item in enumerate(document)] if in_batch else [("$", document)]
        good, faults = _sifted(stream, items, now := self._clock())
        sizes = (len(request.body), len(body))
        upload = Upload(application_id, stream, now, *sizes, good, invalid=len(items) - len(good))
        if faults and (self.strict is Strictness.BATCH or not in_batch):
            self._store.add(upload._replace(arrivals=(), refused=len(good)))
            raise Refused(400, f"{upload.invalid} of {upload.items} invalid", tuple(faults[:MAX_FAULTS_TOLD]))
        self._store.add(upload)
        return Answer(201, headers=self._dashboard.tags(application_id) if stream == "events" else {})


def _sifted(
    stream: str, items: Iterable[tuple[str, Any]], now: float
) -> tuple[tuple[Arrival, ...], list[str]]:
    """The good ones of (path, item), and the faults of the others."""
    sifted = [_arrival_or_faults(stream, item, at, now) for at, item in items]
    good = tuple(each for each in sifted if isinstance(each, Arrival))
    return good, [fault for each in sifted if isinstance(each, list) for fault in each]


def _arrival_or_faults(stream: str, item: Any, at: str, now: float) -> Arrival | list[str]:
    faults = faults_of(stream, item, at)
    if faults:
        return faults
    try:
        raw = orjson.dumps(item)
    except TypeError:  # Its own limit; its parser has a higher one.
        return [f"{at}: nested deeper than 254 levels"]
    valid: Mapping[str, Any] = item
    return arrival(stream, valid, raw, now)


def _is_known(document: Document, request: Request) -> bool:
    tags = request.headers.get("If-None-Match", "").split(",")
    return document.tag in {tag.strip().removeprefix("W/").strip('"') for tag in tags}
