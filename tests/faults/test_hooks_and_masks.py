"""Faults of the in-process middleware in the user's functions and masks: none of them is here."""

import datetime
import json
import logging
import subprocess
import sys
from typing import Any

import pytest
from lab.one_worker import OneWorker, asked
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from moesifasgi.channel.memory import MemoryChannel
from moesifasgi.hooks import Hooks
from moesifasgi.settings import Settings
from moesifasgi.shipper.payload import encode_item
from moesifasgi.user_function import UNKNOWN

SECRET = "hunter2"


def test_the_response_body_does_not_escape_the_mask(worker: OneWorker):
    """A1: it was attached after the mask had run, and the published example raised on its absence."""

    def mask(eventmodel: Any) -> Any:
        if "password" in eventmodel.response.body:
            eventmodel.response.body["password"] = None
        return eventmodel

    response = asked(worker.wrap(JSONResponse({"password": SECRET}), MASK_EVENT_MODEL=mask), "GET", "/")

    assert response.json() == {"password": SECRET}
    assert worker.event["response"]["body"] == {"password": None}
    assert SECRET.encode() not in worker.wire


def test_a_mask_that_forgets_to_return_costs_neither_the_response_nor_a_secret(worker: OneWorker):
    """A6: the client got a 500."""

    def forgets(eventmodel: Any) -> None:
        eventmodel.response.body = {}

    app = worker.wrap(JSONResponse({"password": SECRET}), MASK_EVENT_MODEL=forgets)
    response = asked(app, "GET", f"/?q={SECRET}")

    assert response.status_code == 200
    assert SECRET.encode() not in worker.wire
    assert worker.event["response"]["status"] == 200


def test_metadata_that_json_cannot_hold_costs_no_event(worker: OneWorker):
    """A10: one datetime, and none of the batch's ten events arrived."""
    moment = datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC)
    app = worker.wrap(
        PlainTextResponse("x"), GET_METADATA=lambda request, response: {"at": moment, "x": object()}
    )
    for _ in range(10):
        asked(app, "GET", "/")

    encoded = [encode_item(event.kind, event.payload) for event in worker.channel.events]
    assert [json.loads(each)["metadata"] for each in encoded] == [{"at": "2024-01-02T00:00:00+00:00"}] * 10


@pytest.fixture
def our_level() -> Any:
    logger = logging.getLogger("moesifasgi")
    yield
    logger.setLevel(logging.NOTSET)


def test_the_applications_logging_is_left_alone(
    worker: OneWorker, our_level: None, caplog: pytest.LogCaptureFixture
):
    """A13: ``basicConfig`` in the constructor, whole bodies with DEBUG, a line for each sampled call."""
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.getLogger("another").level)
    app = worker.wrap(
        PlainTextResponse(SECRET),
        DEBUG=True,
        SAMPLE_RATE=50,
        IDENTIFY_USER=lambda request, response: request.headers["absent"],
    )
    for _ in range(100):
        asked(app, "POST", f"/?q={SECRET}", content=SECRET, headers={"x-key": SECRET})

    assert (root.level, root.handlers, logging.getLogger("another").level) == before
    ours = logging.getLogger("moesifasgi")
    assert (ours.level, ours.handlers) == (logging.DEBUG, [])
    lines = [record.getMessage() for record in caplog.records if record.name == "moesifasgi"]
    assert len(lines) <= 2, lines
    assert SECRET not in caplog.text


def test_the_root_logger_is_as_it_was_before_the_first_middleware():
    """A13: see above. In a fresh interpreter: pytest's own handlers make ``basicConfig`` do nothing."""
    script = """
import logging
from moesifasgi import MoesifMiddleware

MoesifMiddleware(settings={"APPLICATION_ID": "a", "TRANSPORT": "memory", "DEBUG": True, "SKIP": bool})
root = logging.getLogger()
assert (root.level, root.handlers) == (logging.WARNING, []), (root.level, root.handlers)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)


def test_without_debug_the_level_is_the_applications_own(worker: OneWorker):
    """A13: see above."""
    worker.wrap(PlainTextResponse("x"))

    assert logging.getLogger("moesifasgi").level == logging.NOTSET


def said(function: Any) -> Any:
    """What an IDENTIFY_USER function is taken to have said."""
    settings = Settings.load({"APPLICATION_ID": "a", "IDENTIFY_USER": function}, {})
    hooks = Hooks(settings.hooks, settings.hooks.timeout_s, MemoryChannel())
    steps = hooks._identify_user.answer(str, Request({"type": "http"}), Response())
    with pytest.raises(StopIteration) as done:
        next(steps)
    return done.value.value


def test_a_function_that_fails_does_not_make_its_user_an_unidentified_one():
    """A17d: it did, so that a rule against the user did not apply."""

    def fails(request: Any, response: Any) -> str:
        raise KeyError("user")

    assert said(fails) is UNKNOWN
    assert said(lambda request, response: "ann") == "ann"


def test_a_function_is_called_once_and_with_its_response(worker: OneWorker):
    """A17d: it was called twice for a request, the first time without a response."""
    responses: list[Any] = []

    def identify(request: Any, response: Any) -> str:
        responses.append(response.status_code)
        return "ann"

    asked(worker.wrap(PlainTextResponse("x", 418), IDENTIFY_USER=identify), "GET", "/")

    assert responses == [418]


def test_an_id_that_is_a_number_is_the_text_that_rules_and_rates_are_kept_under(worker: OneWorker):
    """A20: 12 was not found under "12"."""
    app = worker.wrap(
        PlainTextResponse("x"), IDENTIFY_USER=lambda *pair: 12, IDENTIFY_COMPANY=lambda *pair: 34
    )
    asked(app, "GET", "/")

    assert (worker.event["user_id"], worker.event["company_id"]) == ("12", "34")
