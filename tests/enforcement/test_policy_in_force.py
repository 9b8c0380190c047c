"""How a worker comes by its policy, and what becomes of one that it cannot use."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from lab.one_worker import asked
from lab.processes import eventually
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


class Held(Policy):
    """A policy whose compiling waits for ``gate``."""

    gate: threading.Event
    compiled: list[str]

    @classmethod
    def compile(cls, document: Any, **more: Any) -> Policy:
        cls.compiled.append(document["rules"][0]["_id"])
        cls.gate.wait(10.0)
        return Policy.compile(document, **more)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Held]]:
    Held.gate, Held.compiled = threading.Event(), []
    monkeypatch.setattr(module, "Policy", Held)
    monkeypatch.setattr(module, "COMPILE_WAIT_S", 0.05)
    yield Held
    Held.gate.set()


def test_a_policy_that_takes_long_to_compile_holds_up_nobody(worker, push, held):
    """The channel's thread has acknowledgements to take meanwhile."""
    app = worker.wrap(HELLO)
    begun = time.monotonic()
    push(rules=[blocking("slow")])

    assert time.monotonic() - begun < 5.0
    assert asked(app, "GET", "/").status_code == 200
    held.gate.set()
    eventually(lambda: asked(app, "GET", "/").status_code == 403, 5.0, "it is in force")


def test_of_policies_that_come_meanwhile_only_the_newest_is_compiled(worker, push, held):
    app = worker.wrap(HELLO)
    for name in ("r1", "r2", "r3", "r4"):
        push(rules=[blocking(name)])
    compilers = [thread for thread in threading.enumerate() if thread.name == "moesif-policy"]
    held.gate.set()
    eventually(lambda: asked(app, "GET", "/").headers.get("x-blocked") == "r4", 5.0, "the newest is in force")

    assert held.compiled == ["r1", "r4"]
    assert len(compilers) == 1


def test_a_fork_while_a_policy_is_compiled_loses_it_in_neither_process(worker, push, held):
    app = worker.wrap(HELLO)
    push(rules=[blocking("r1")])
    pid = os.fork()
    held.gate.set()
    if pid == 0:
        try:
            eventually(lambda: asked(app, "GET", "/").status_code == 403, 5.0, "it is in force")
            os._exit(0)
        finally:
            os._exit(2)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    eventually(lambda: asked(app, "GET", "/").status_code == 403, 5.0, "it is in force")


def test_a_policy_that_goes_takes_its_parked_patterns_out_of_the_status(worker, push, monkeypatch):
    """With nothing left to decide no request comes by to say it."""
    monkeypatch.setattr(module, "REPORT_INTERVAL_S", 0.0)
    app = worker.wrap(HELLO)
    push(rules=[blocking("evil", ("request.headers.x-a", EVIL))])
    for _ in range(2):
        asked(app, "GET", "/", headers={"x-a": "a" * 2_000 + "!"})
    assert reports(worker.channel)[0] != []
    push(rules=[])

    assert reports(worker.channel) == {0: []}


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
