"""What the dashboard decides reaches every worker of a real server, and stays in force whatever happens."""

import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from lab.processes import eventually, shippers_of
from lab.rules import blocking
from lab.servers import Server, ServerName, running
from lab.status import status_in

from moesifasgi.inspector import Behaviour, Collector

HERE = Path(__file__).parent
ENFORCED_S = 2.0
STARTS_S = 10.0
CONFIG, RULES = "/v1/config", "/v1/rules"
RULE = blocking("maintenance", ("request.route", "^/closed"), status=503, body={"error": "closed"})
BAD: dict[str, dict[str, Any]] = {
    "401": {"status": 401},
    "HTML": {"status": 200, "body": "<html>Bad gateway</html>", "headers": {"Content-Type": "text/html"}},
    "half JSON": {"status": 200, "body": '[{"_id": "maintenance", "type": "regex", "block": true, "resp'},
    "5 MB": {"status": 200, "body": "[" + "{}," * 1_700_000 + "{}]"},
}

Start = Callable[..., AbstractContextManager[Server]]


@pytest.fixture
def start(settings: dict[str, str]) -> Start:
    """A server whose batches leave at once: it is their answers that bring the tags."""

    def started(
        workers: int = 4, *extra: str, server: ServerName = "uvicorn"
    ) -> AbstractContextManager[Server]:
        quick = {"MOESIF_EVENT_BATCH_TIMEOUT": "0.1", "MOESIF_SHIPPER_LINGER": "0"}
        return running(server, "policy_app:app", workers, HERE, settings | quick, extra=extra)

    return started


class Fleet:
    """One kept connection to each worker of a server, so that each can be asked at any time."""

    def __init__(self, server: Server, workers: int, stack: ExitStack) -> None:
        self._connections: dict[str, HTTPConnection] = {}
        address = urlsplit(server.url).netloc

        def is_whole() -> bool:
            # Many at once: of an idle server the same few workers would take them one by one.
            opened = [HTTPConnection(address, timeout=10) for _ in range(2 * workers)]
            for connection in opened:
                stack.callback(connection.close)
                connection.request("GET", "/open")
            for connection in opened:
                response = connection.getresponse()
                response.read()
                self._connections[response.headers["x-worker"]] = connection
            return len(self._connections) == workers

        eventually(is_whole, STARTS_S, f"{workers} workers answer")

    def statuses(self, path: str = "/closed", **more: Any) -> list[int]:
        """What each worker answers now."""
        answers = []
        for connection in self._connections.values():
            connection.request("GET", path, **more)
            response = connection.getresponse()
            response.read()
            answers.append(response.status)
        return answers

    def await_status(self, status: int, **more: Any) -> None:
        """Until every worker answers so."""
        eventually(lambda: set(self.statuses(**more)) == {status}, STARTS_S, f"all workers answer {status}")


@pytest.fixture
def fleet() -> Iterator[Callable[[Server, int], Fleet]]:
    with ExitStack() as stack:
        yield lambda server, workers: Fleet(server, workers, stack)


def asked_for(collector: Collector) -> tuple[int, int]:
    """How often configuration and rules were asked for."""
    requests = collector.store.requests()
    return tuple(
        sum(count for key, count in requests.items() if f" {path} " in key) for path in (CONFIG, RULES)
    )


def policy_of(directory: Path) -> dict[str, Any]:
    """What the shipper's status says of the one application's policy; empty as long as it says nothing."""
    applications = status_in(directory).get("applications", {})
    return next((entry["policy"] or {} for entry in applications.values()), {})


@pytest.mark.parametrize("workers", [4, 16])
def test_a_new_rule_is_enforced_by_all_workers_within_two_seconds(start, fleet, collector, workers):
    """A21, B6: each worker asked twice a minute, whether anything had changed or not."""
    with start(workers) as server:
        all_workers = fleet(server, workers)
        eventually(lambda: asked_for(collector) == (1, 1), STARTS_S, "both are asked for at the start")
        begun = time.monotonic()
        collector.set_rules(None, [RULE])
        all_workers.await_status(503)
        took_s = time.monotonic() - begun
        assert set(all_workers.statuses()) == {503}
        assert set(all_workers.statuses("/open")) == {200}
        asked = asked_for(collector)
        server.terminate()

    assert took_s < ENFORCED_S
    assert asked == (1, 2)
    blocked = [event for event in collector.store.items("events") if "blocked_by" in event]
    assert {(event["blocked_by"], event["response"]["status"]) for event in blocked} == {("maintenance", 503)}


def test_a_new_rule_reaches_the_workers_of_a_preloaded_application(start, fleet, collector):
    """B7: the threads that asked for rules stayed in the master, and rules as they were at the fork."""
    with start(1, "--preload", server="gunicorn-asgi") as server:
        worker = fleet(server, 1)
        eventually(lambda: asked_for(collector) == (1, 1), STARTS_S, "both are asked for at the start")
        collector.set_rules(None, [RULE])
        worker.await_status(503)
        collector.set_rules(None, [])
        worker.await_status(200)
        server.terminate()


def test_a_user_who_joins_and_leaves_a_cohort_is_met_by_its_rule_everywhere(start, fleet, collector):
    """The rule comes with one answer of the collector, the cohort with another."""
    ann = {"Authorization": "Basic " + b64encode(b"ann:x").decode()}
    collector.set_rules(None, [blocking("cohort", kind="user", status=429)])
    with start(2) as server:
        all_workers = fleet(server, 2)
        collector.set_config(None, {"user_rules": {"ann": [{"rules": "cohort"}]}})
        all_workers.await_status(429, headers=ann)
        assert set(all_workers.statuses()) == {200}
        collector.set_config(None, {})
        all_workers.await_status(200, headers=ann)
        server.terminate()


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_a_connection_lives_on_after_blocked_requests_of_every_kind(start, fleet, collector, http):
    """HEAD, bodies that were read ahead, bodies that nobody has read, and what comes after them."""
    collector.set_rules(None, [RULE, blocking("bad", ("request.body.kind", "^bad$"), status=422)])
    requests = [
        ("HEAD", "/closed", b"", 503),
        ("POST", "/open", b'{"kind": "bad"}', 422),
        ("POST", "/closed", b"x" * 300_000, 503),
        ("POST", "/open", b'{"kind": "good"}', 200),
        ("GET", "/closed", b"", 503),
        ("GET", "/open", b"", 200),
    ]
    with start(1, "--http", http) as server:
        fleet(server, 1).await_status(503)
        connection = HTTPConnection(urlsplit(server.url).netloc, timeout=10)
        with closing(connection):
            for method, path, body, status in requests * 3:
                connection.request(method, path, body or None)
                response = connection.getresponse()
                content = response.read()
                assert response.status == status
                assert len(content) == (0 if method == "HEAD" else int(response.headers["content-length"]))
        server.terminate()


def test_a_client_that_waits_for_an_answer_before_it_sends_its_body_gets_one(start, fleet, collector):
    collector.set_rules(None, [RULE, blocking("bad", ("request.body.kind", "^bad$"), status=422)])
    with start(1) as server:
        fleet(server, 1).await_status(503)
        with closing(HTTPConnection(urlsplit(server.url).netloc, timeout=10)) as connection:
            connection.putrequest("POST", "/open")
            connection.putheader("Content-Length", "15")
            connection.endheaders(b'{"kind"')
            assert connection.getresponse().status == 200
        server.terminate()


@pytest.mark.parametrize("bad", BAD)
def test_a_collector_that_answers_nonsense_at_the_start_is_nothing_to_the_application(
    start, fleet, collector, short_dir, bad
):
    collector.behave(
        Behaviour(path_prefix=CONFIG, **BAD[bad]),
        Behaviour(path_prefix=RULES, **BAD[bad]),
    )
    with start(2) as server:
        all_workers = fleet(server, 2)
        eventually(lambda: min(asked_for(collector)) >= 1, STARTS_S, "the collector is asked")
        assert {status for _ in range(10) for status in all_workers.statuses()} == {200}
        state = eventually(
            lambda: (policy := policy_of(short_dir)) and "/v1/" in policy["state"] and policy["state"],
            STARTS_S,
            "the status says why",
        )
        server.terminate()
    assert collector.store.counts().distinct >= 20
    assert "never fetched" in state


@pytest.mark.parametrize("bad", ["HTML", "down"])
def test_the_last_good_policy_stays_in_force_also_after_a_restart(start, fleet, collector, short_dir, bad):
    collector.set_rules(None, [RULE])
    with start(2) as server:
        all_workers = fleet(server, 2)
        all_workers.await_status(503)
        if bad == "down":
            collector.close()
        else:
            collector.behave(
                Behaviour(path_prefix=CONFIG, **BAD[bad]), Behaviour(path_prefix=RULES, **BAD[bad])
            )
        assert {status for _ in range(10) for status in all_workers.statuses()} == {503}
        server.terminate()
    eventually(lambda: not shippers_of(short_dir), STARTS_S, "the shipper has left")
    with start(2) as server:
        fleet(server, 2).await_status(503)
        server.terminate()
