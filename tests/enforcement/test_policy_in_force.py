"""How a worker comes by its policy, and what becomes of one that it cannot use."""

import logging
import os
import threading
from typing import Any

import pytest
from lab.one_worker import asked
from lab.rules import blocking
from starlette.responses import PlainTextResponse

from moesifasgi.channel.memory import MemoryChannel
from moesifasgi.enforcement import in_force as module
from moesifasgi.enforcement.in_force import REPORT_INTERVAL_S, PolicyInForce, policy_in_force
from moesifasgi.policy.policy import NO_POLICY, Policy
from moesifasgi.wire.application import Application

HELLO = PlainTextResponse("hello")
EVIL = "(a+)+$"


def reports(channel: MemoryChannel) -> dict[int, list[str]]:
    return {report.key: list(report.lines) for report in channel.policies.reports()}


@pytest.fixture
def channel() -> MemoryChannel:
    channel = MemoryChannel()
    channel.register(Application("an-application"))
    return channel


def test_before_the_first_document_everything_passes_and_everything_is_recorded(channel):
    in_force = policy_in_force(channel, 0, first_match=False)

    assert in_force.policy is NO_POLICY
    assert NO_POLICY.governance.empty
    assert NO_POLICY.sampling.everything


def test_a_document_that_was_there_before_the_middleware_counts_from_the_first_request(worker):
    worker.wrap(HELLO)
    worker.channel.push(0, {"config": {}, "rules": [blocking("r1")]})
    app = worker.wrap(HELLO, SAMPLING="first-match")

    assert asked(app, "GET", "/").status_code == 403


def test_a_document_is_compiled_once_for_all_middlewares_of_an_application(worker, push, monkeypatch):
    compiled: list[Any] = []

    class Counting(Policy):
        @classmethod
        def compile(cls, document: Any, **more: Any) -> Policy:
            compiled.append(document)
            return Policy.compile(document, **more)

    monkeypatch.setattr(module, "Policy", Counting)
    apps = [worker.wrap(HELLO) for _ in range(3)]
    push(rules=[blocking("r1")])
    for app in apps * 2:
        asked(app, "GET", "/")

    assert len(compiled) == 1


def test_a_document_that_breaks_the_compiler_leaves_the_last_policy_in_force(
    worker, push, monkeypatch, caplog
):
    class Broken(Policy):
        @classmethod
        def compile(cls, document: Any, **more: Any) -> Policy:
            raise ZeroDivisionError

    app = worker.wrap(HELLO)
    push(rules=[blocking("r1")])
    monkeypatch.setattr(module, "Policy", Broken)
    with caplog.at_level(logging.WARNING, "moesifasgi"):
        push(rules=[])
        push(rules=[blocking("r2")])

    assert asked(app, "GET", "/").headers["x-blocked"] == "r1"
    assert sum("last one stays" in line for line in caplog.messages) <= 1


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"config": None, "rules": None},
        {"config": [], "rules": {}},
        {"rules": [None, 7, {}, {"_id": "x"}]},
    ],
)
def test_a_document_of_any_shape_leaves_requests_alone(worker, document):
    app = worker.wrap(HELLO)
    worker.channel.push(0, document)

    assert asked(app, "GET", "/").status_code == 200
    assert len(worker.events) == 1


def test_a_pattern_that_runs_out_of_time_lets_the_call_pass_and_is_reported(worker, push, monkeypatch):
    monkeypatch.setattr(module, "REPORT_INTERVAL_S", 0.0)
    app = worker.wrap(HELLO)
    push(rules=[blocking("evil", ("request.headers.x-a", EVIL)), blocking("good", ("request.route", "^/no"))])

    assert asked(app, "GET", "/", headers={"x-a": "a" * 2_000 + "!"}).status_code == 200
    assert asked(app, "GET", "/no", headers={"x-a": "a" * 2_000 + "!"}).status_code == 403
    ((key, lines),) = reports(worker.channel).items()
    assert (key, len(lines)) == (0, 1)
    assert "evil" in lines[0]


def test_a_slow_sampling_pattern_does_not_switch_off_the_rules(worker, push):
    """A client who knows of one could otherwise get around the other."""
    app = worker.wrap(HELLO)
    slow = {"conditions": [{"path": "request.headers.x-a", "value": EVIL}], "sample_rate": 10}
    # Both are slow to find, so that each needs time of its own; the second is not slow on this text.
    push(
        rules=[blocking("r1", ("request.headers.x-b", "(b+)+$"))],
        regex_config=[slow, {**slow, "conditions": [{"path": "request.headers.x-a", "value": EVIL + "|x"}]}],
    )
    response = asked(app, "GET", "/", headers={"x-a": "a" * 2_000 + "!", "x-b": "b" * 500})

    assert response.status_code == 403


def test_what_is_parked_is_reported_on_change_and_not_with_every_request(channel, monkeypatch):
    told: list[tuple[int, tuple[str, ...]]] = []
    report = channel.report
    monkeypatch.setattr(channel, "report", lambda key, lines: (told.append((key, lines)), report(key, lines)))
    now = [0.0]
    parked: list[tuple[str, ...]] = [()]
    in_force = PolicyInForce(channel, 0, first_match=False, clock=lambda: now[0])
    asked_at: list[float] = []

    class Parking(Policy):
        def parked(self) -> tuple[str, ...]:
            asked_at.append(now[0])
            return parked[0]

    in_force.policy = Parking(NO_POLICY.sampling, NO_POLICY.governance)
    for moment in (0.0, 0.1, 0.2, 1.0, 1.1, 1.9, 2.0, 3.0):
        now[0] = moment * REPORT_INTERVAL_S
        parked[0] = ("r1: slow",) if 0.0 < moment < 3 else ()
        in_force.report()

    assert asked_at == [each * REPORT_INTERVAL_S for each in (0.0, 1.0, 2.0, 3.0)]
    assert told == [(0, ("r1: slow",)), (0, ())]
    assert reports(channel) == {0: []}


def test_policies_that_change_under_load_are_seen_whole(worker, push):
    """Status, header and body are of one rule, and nothing ever passes: some rule is always in force."""
    app = worker.wrap(HELLO)
    push(rules=[blocking("r0", status=400)])
    over = threading.Event()

    def change() -> None:
        number = 0
        while not over.is_set():
            number = (number + 1) % 50
            push(rules=[blocking(f"r{number}", status=400 + number)])

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(30):
            response = asked(app, "GET", "/")
            name = response.headers["x-blocked"]
            assert (f"r{response.status_code - 400}", response.json()) == (name, {"blocked": name})
    finally:
        over.set()
        thread.join()


def test_a_forked_worker_enforces_what_its_parent_did(worker, push):
    app = worker.wrap(HELLO)
    push(rules=[blocking("r1")])
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if asked(app, "GET", "/").status_code == 403 else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0
