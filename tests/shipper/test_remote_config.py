"""The remote configuration against a real collector that behaves, lags, refuses, lies or is not there."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from lab.processes import eventually

from moesifasgi.inspector import Behaviour, Collector
from moesifasgi.shipper.freshness import PolicyPace
from moesifasgi.shipper.http import Timeouts
from moesifasgi.shipper.remote_config import MAX_REQUESTS, RemoteConfig
from moesifasgi.shipper.retry import Backoff
from moesifasgi.shipper.spool import Lane, SpoolError
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.shipper.spool.sqlite import open_spool
from moesifasgi.shipper.uploader import Uploader
from moesifasgi.wire.application import Application
from moesifasgi.wire.policy_document import MAX_PART_BYTES, unpack

A, B = "a" * 56 + "AAAA", "b" * 56 + "BBBB"
CONFIG, RULES = "GET /v1/config", "GET /v1/rules"
OFTEN = Backoff(base_s=0.02, cap_s=0.05, floor_s=0.02)
QUICK = PolicyPace(poll_s=600.0, spacing_s=0.02, backoff=OFTEN, lasting=OFTEN)
RULE = {"_id": "r1", "type": "regex", "block": True, "response": {"status": 403}}
USER = b'{"user_id":"u"}'
EVENT = (
    b'{"transaction_id":"%d0000000-0000-4000-8000-000000000000","request":'
    b'{"time":"2099-01-01T10:00:00.123","uri":"http://h/p","verb":"GET","headers":{}}}'
)


class Rig:
    """A remote configuration, and what it has pushed."""

    def __init__(self, collector: Collector, spool: Any) -> None:
        self.collector = collector
        self.spool = spool
        self.pushed: list[tuple[str, dict[str, Any]]] = []
        self.made: list[RemoteConfig] = []

    def start(self, pace: PolicyPace = QUICK, timeouts: Timeouts | None = None) -> RemoteConfig:
        def push(application_id: str, document: bytes) -> None:
            self.pushed.append((application_id, unpack(document)))

        limits = timeouts or Timeouts(connect_s=1.0, read_s=1.0, total_s=2.0)
        self.made.append(RemoteConfig(self.spool, push, pace=pace, timeouts=limits))
        self.made[-1].start()
        return self.made[-1]

    def learn(self, application_id: str = A, **settings: Any) -> None:
        settings = {"base_uri": self.collector.url} | settings
        self.made[-1].learned(Application(application_id, **settings))

    def requests(self, key: str) -> int:
        """How many there were, whatever the answer."""
        found = self.collector.store.requests().items()
        return sum(count for request, count in found if request.startswith(key))

    def in_force(self, application_id: str = A) -> dict[str, Any] | None:
        """The policy pushed last."""
        mine = [document for pushed_id, document in self.pushed if pushed_id == application_id]
        return mine[-1] if mine else None

    def status(self, application_id: str = A) -> dict[str, Any]:
        return self.made[-1].status().get(application_id, {"state": None})

    def until_state(self, start: str, application_id: str = A) -> str:
        """The state, once it begins so."""
        return eventually(
            lambda: (state := self.status(application_id)["state"]) and state.startswith(start) and state,
            5.0,
            f"the state is {start}; it is {self.status(application_id)}",
        )

    def until_force(self, config: Any, rules: Any, application_id: str = A) -> None:
        wanted = {"config": config, "rules": rules}
        eventually(lambda: self.in_force(application_id) == wanted, 5.0, f"{wanted} is in force")

    def name(self, config_tag: str | None, rules_tag: str | None = None) -> None:
        self.made[-1].tags_named(A, config_tag, rules_tag)


@pytest.fixture
def rig(collector: Collector) -> Iterator[Rig]:
    made = Rig(collector, MemorySpool())
    yield made
    for remote_config in made.made:
        remote_config.close(1.0)


def test_a_policy_is_fetched_once_for_an_application_and_pushed(rig: Rig) -> None:
    rig.collector.set_config(None, {"sample_rate": 7})
    rig.collector.set_rules(None, [RULE])
    rig.start()
    for _ in range(16):
        rig.learn()
    rig.until_force({"sample_rate": 7}, [RULE])
    rig.until_state("ok")

    assert (rig.requests(CONFIG), rig.requests(RULES), len(rig.pushed)) == (1, 1, 1)
    status = rig.status()
    assert (status["rules"], status["faults"]) == (1, [])
    assert status["age_seconds"] < 5.0
    assert 500 < status["next_check_in_seconds"] < 700
    assert None not in (status["config_tag"], status["rules_tag"])


def test_only_what_has_a_new_tag_is_fetched_again(rig: Rig) -> None:
    with contextlib.closing(Uploader(on_tags=rig.start().tags_named)) as uploader:
        rig.learn()
        rig.until_state("ok")
        rig.collector.set_rules(None, [RULE])
        application = Application(A, base_uri=rig.collector.url)
        for number in range(10):
            uploader.upload(Lane(A, "events"), application, [EVENT % number])
        rig.until_force({}, [RULE])

    assert (rig.requests(CONFIG), rig.requests(RULES), len(rig.pushed)) == (1, 2, 2)


def test_a_check_that_finds_nothing_new_costs_a_304_and_disturbs_nobody(rig: Rig) -> None:
    class Counting(MemorySpool):
        kept = 0

        def remember_policy(self, application_id: str, policy: bytes) -> None:
            self.kept += 1
            super().remember_policy(application_id, policy)

    rig.spool = Counting()
    rig.start(PolicyPace(poll_s=0.1, spacing_s=0.02, backoff=OFTEN, lasting=OFTEN))
    rig.learn()
    eventually(lambda: rig.requests(f"{CONFIG} 304") >= 3, 5.0, "it was checked again")

    assert rig.requests(f"{CONFIG} 200") == rig.requests(f"{RULES} 200") == 1
    assert (len(rig.pushed), rig.spool.kept) == (1, 1)
    assert rig.status()["state"] == "ok"


def test_a_poll_finds_what_no_upload_has_told(rig: Rig) -> None:
    rig.start(PolicyPace(poll_s=0.1, spacing_s=0.02, backoff=OFTEN, lasting=OFTEN))
    rig.learn()
    rig.until_state("ok")
    rig.collector.set_config(None, {"sample_rate": 3})
    rig.until_force({"sample_rate": 3}, [])


def test_nodes_that_disagree_cost_no_more_than_the_first_of_each_tag(rig: Rig) -> None:
    rig.start()
    rig.learn()
    rig.until_state("ok")
    older = rig.status()["config_tag"]
    rig.collector.set_config(None, {"sample_rate": 50})
    for _ in range(200):
        rig.name("newer")
        rig.name(older)
    rig.until_force({"sample_rate": 50}, [])
    eventually(lambda: rig.status()["next_check_in_seconds"] > 400, 5.0, "it rests")
    before = rig.requests(CONFIG)
    for _ in range(200):
        rig.name("newer")
        rig.name(rig.status()["config_tag"])
    rig.learn(B)
    rig.until_state("ok", B)

    assert rig.requests(CONFIG) == before + 1
    assert before <= 7


def test_a_collector_that_hangs_is_asked_for_so_many_applications_at_once_and_no_more(rig: Rig) -> None:
    rig.collector.behave(Behaviour(hang=True))
    rig.start(timeouts=Timeouts(connect_s=5.0, read_s=5.0, total_s=5.0))
    for number in range(2 * MAX_REQUESTS):
        rig.learn(f"{number:060}")
    eventually(lambda: rig.requests(CONFIG) >= MAX_REQUESTS, 4.0, "as many as may be are under way")
    # Were there more, they would be there by the time that one more thing is through the mailbox.
    rig.learn("the-last-one-that-says-hello")
    eventually(lambda: "the-last-one-that-says-hello" in rig.made[-1].status(), 4.0, "it is known")
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("moesif-policy")]

    assert rig.requests(CONFIG) == len(threads) == MAX_REQUESTS


BAD_ANSWERS: dict[str, tuple[dict[str, Any], str]] = {
    "401": ({"status": 401}, "401 Unauthorized"),
    "404": ({"status": 404}, "404 Not Found"),
    "400": ({"status": 400}, "status 400"),
    "503": ({"status": 503}, "503 Service Unavailable"),
    "redirect": ({"status": 302, "headers": {"Location": "/elsewhere"}}, "302 Found"),
    "HTML": ({"body": "<html>Log in</html>"}, "it is no JSON"),
    "nothing": ({"body": ""}, "it is no JSON"),
    "half JSON": ({"body": '{"sample_rate": '}, "it is no JSON"),
    "another type": ({"body": "7"}, "expected a JSON"),
    "null": ({"body": "null"}, "expected a JSON"),
    "too deep": ({"body": '{"a":' * 600 + "1" + "}" * 600}, "nested more than"),
    "5 MB": ({"body": f'["{"x" * 5_000_000}"]'}, f"larger than {MAX_PART_BYTES} bytes"),
    "packs to more": ({"body": f"[{'1.5,' * 250_000}1]"}, f"larger than {MAX_PART_BYTES} bytes"),
    "false encoding": ({"headers": {"Content-Encoding": "gzip"}}, "content encoding is damaged"),
    "odd encoding": ({"headers": {"Content-Encoding": "rot13"}}, "content encoding is unknown"),
    "reset": ({"reset": True}, "the connection failed"),
    "hang": ({"hang": True}, "no answer within 0.3 s"),
}


@pytest.mark.parametrize("part", ["config", "rules"])
@pytest.mark.parametrize(("answer", "why"), BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_a_bad_answer_leaves_the_last_good_policy_in_force_and_status_says_why(
    rig: Rig, part: str, answer: dict[str, Any], why: str
) -> None:
    if part == "rules" and why.startswith("nested"):
        answer = {"body": "[" * 600 + "]" * 600}
    if part == "config" and why.startswith("larger"):
        answer = {"body": '{"a":' + answer["body"] + "}"}
    rig.collector.set_config(None, {"sample_rate": 7})
    rig.collector.set_rules(None, [RULE])
    rig.start(timeouts=Timeouts(connect_s=1.0, read_s=1.0, total_s=0.3))
    rig.learn()
    rig.until_state("ok")
    # The same again, under new tags.
    rig.collector.set_config(None, {"sample_rate": 7})
    rig.collector.set_rules(None, [RULE])
    rig.collector.behave(Behaviour(path_prefix=f"/v1/{part}", **answer))
    rig.name("news", "news")
    state = rig.until_state("stale: ")

    assert f"/v1/{part}: " in state
    assert why in state
    assert len(rig.pushed) == 1
    rig.collector.behave(None)
    rig.until_state("ok")
    assert len(rig.pushed) == 1


@pytest.mark.parametrize(("answer", "why"), [BAD_ANSWERS["401"], BAD_ANSWERS["HTML"]], ids=["401", "HTML"])
def test_with_no_good_answer_yet_nothing_is_pushed_and_status_says_why(
    rig: Rig, answer: dict[str, Any], why: str
) -> None:
    rig.collector.behave(Behaviour(**answer))
    rig.start()
    rig.learn()
    state = rig.until_state("never fetched: ")
    assert why in state
    assert rig.pushed == []
    assert rig.status()["age_seconds"] is None
    rig.collector.behave(None)
    rig.until_state("ok")
    rig.until_force({}, [])


def test_the_good_part_is_used_while_the_other_fails(rig: Rig) -> None:
    rig.collector.set_config(None, {"sample_rate": 7})
    rig.collector.behave(Behaviour(status=500, path_prefix="/v1/rules"))
    rig.start()
    rig.learn()
    rig.until_force({"sample_rate": 7}, [])
    assert rig.until_state("stale: ").startswith("stale: /v1/rules: 500")


def test_nobody_listening_is_a_failure_like_any_other(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    rig.start()
    rig.learn(base_uri=f"http://127.0.0.1:{port}")
    assert "the connection failed" in rig.until_state("never fetched: ")


def test_one_applications_hanging_collector_does_not_delay_another(rig: Rig) -> None:
    rig.collector.behave(Behaviour(hang=True, application_id=A))
    rig.start(timeouts=Timeouts(total_s=30.0))
    rig.learn(A)
    eventually(lambda: rig.requests(CONFIG) == 1, 5.0, "the first hangs")
    begun = time.monotonic()
    rig.learn(B)
    rig.until_state("ok", B)
    assert time.monotonic() - begun < 2.0
    assert rig.in_force(A) is None


def test_there_is_one_request_at_a_time_for_an_application(rig: Rig) -> None:
    rig.collector.behave(Behaviour(hang=True))
    rig.start(timeouts=Timeouts(total_s=30.0))
    rig.learn()
    eventually(lambda: rig.requests(CONFIG) == 1, 5.0, "it hangs")
    for number in range(50):
        rig.name(f"{number}", f"{number}")
        rig.learn()
    rig.learn(B)
    eventually(lambda: rig.requests(CONFIG) == 2, 5.0, "the other hangs too")
    assert rig.requests(RULES) == 0


def test_failures_are_no_hot_loop(rig: Rig) -> None:
    rig.collector.behave(Behaviour(status=503))
    rig.start(PolicyPace())
    rig.learn()
    rig.until_state("never fetched: ")
    for number in range(300):
        rig.name(f"{number}", f"{number}")
        time.sleep(0.002)
    assert rig.requests(CONFIG) <= 2


def test_a_retry_after_is_obeyed(rig: Rig) -> None:
    rig.collector.behave(Behaviour(status=429, headers={"Retry-After": "100"}))
    rig.start()
    rig.learn()
    rig.until_state("never fetched: /v1/config: 429")
    rig.name("news", "news")
    eventually(lambda: 90 < rig.status()["next_check_in_seconds"] < 102, 2.0, "it waits")


def test_a_close_while_a_request_hangs_is_over_at_once_and_may_be_repeated(rig: Rig) -> None:
    rig.collector.behave(Behaviour(hang=True))
    remote_config = rig.start(timeouts=Timeouts(read_s=60.0, total_s=60.0))
    rig.learn()
    eventually(lambda: rig.requests(CONFIG) == 1, 5.0, "it hangs")
    begun = time.monotonic()
    remote_config.close(2.0)
    remote_config.close(2.0)
    assert time.monotonic() - begun < 0.5
    remote_config.learned(Application(B, base_uri=rig.collector.url))

    def left() -> list[str]:
        return [one.name for one in threading.enumerate() if one.name.startswith("moesif-policy")]

    eventually(lambda: not left(), 2.0, "the request under way is cut off")


Opener = Callable[[], Any]


@pytest.fixture
def reopened(tmp_path: Path) -> Iterator[Opener]:
    """Opens the same spool file again, as the next shipper does."""
    with contextlib.ExitStack() as stack:

        def opener() -> Any:
            stack.close()
            spool = open_spool(tmp_path, max_bytes=1 << 20, min_free_bytes=0, durability="normal")
            stack.callback(spool.close)
            return spool

        yield opener


def test_a_restart_has_the_kept_policy_in_force_before_anybody_asks(
    collector: Collector, reopened: Opener
) -> None:
    collector.set_config(None, {"sample_rate": 7})
    collector.set_rules(None, [RULE])
    first = Rig(collector, reopened())
    first.start()
    first.learn()
    first.until_state("ok")
    first.made[0].close(1.0)
    collector.behave(Behaviour(status=503))
    second = Rig(collector, reopened())
    try:
        second.start()
        assert second.in_force() == {"config": {"sample_rate": 7}, "rules": [RULE]}
        assert second.status()["state"] == "stale: not checked since the shipper's start"
        second.learn()
        second.until_state("stale: /v1/config: 503")
        assert second.status()["rules"] == 1
        collector.behave(None)
        second.until_state("ok")
        assert len(second.pushed) == 1
        assert first.requests(f"{CONFIG} 200") == 1, "the kept tag is known to the collector"
    finally:
        second.made[0].close(1.0)


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        b"\xc1",
        b"\x80",
        b"\x90",
        msgpack.packb({"config": [7, None, []]}),
        msgpack.packb({"config": [b"\x90", None, []]}),
        msgpack.packb({"rules": [b"\xc1", None, []]}),
        msgpack.packb({"rules": [b"\x90", 7, []]}),
        msgpack.packb({"rules": [b"\x90", None]}),
        msgpack.packb({"other": [b"\x90", None, []]}),
    ],
)
def test_a_kept_policy_that_cannot_be_read_counts_for_nothing(rig: Rig, kept: bytes) -> None:
    rig.spool.remember_policy(A, kept)
    rig.start()
    assert rig.pushed == []
    rig.learn()
    rig.until_force({}, [])


def test_a_spool_that_fails_costs_nothing_but_the_next_start(rig: Rig) -> None:
    class Full(MemorySpool):
        refuses = True

        def remember_policy(self, application_id: str, policy: bytes) -> None:
            if self.refuses:
                raise SpoolError("the disk is full")
            super().remember_policy(application_id, policy)

        def policies(self) -> dict[str, bytes]:
            if self.refuses:
                raise SpoolError("the disk is full")
            return super().policies()

    rig.spool = Full()
    rig.start()
    rig.learn()
    rig.until_state("ok")
    rig.until_force({}, [])
    rig.spool.refuses = False
    rig.name("news")
    eventually(lambda: rig.spool.policies(), 5.0, "it is kept after all")


def test_other_settings_of_an_application_lead_to_the_other_collector(rig: Rig) -> None:
    rig.start()
    rig.learn()
    rig.until_state("ok")
    with Collector() as other:
        other.set_config(None, {"sample_rate": 9})
        rig.learn(base_uri=f"{other.url}/with/a/path/")
        rig.until_force({"sample_rate": 9}, [])
        rig.learn(base_uri=f"{other.url}/with/a/path/", batch_size=9)
        rig.learn(B)
        rig.until_state("ok", B)
        assert other.store.requests() == {"GET /v1/config 200": 1, "GET /v1/rules 200": 1}


def test_what_the_collector_before_answers_late_counts_no_more(rig: Rig) -> None:
    rig.collector.set_config(None, {"sample_rate": 1})
    rig.collector.behave(Behaviour(drip_s=0.002))
    rig.start()
    rig.learn()
    eventually(lambda: rig.requests(CONFIG) == 1, 5.0, "it has begun to answer")
    with Collector() as other:
        rig.learn(base_uri=other.url)
        rig.until_state("ok")
        assert [document["config"] for _, document in rig.pushed] == [{}]


def test_other_settings_count_though_the_collector_before_hangs(rig: Rig) -> None:
    rig.start(timeouts=Timeouts(connect_s=1.0, read_s=1.0, total_s=0.5))
    rig.collector.behave(Behaviour(hang=True))
    rig.learn()
    eventually(lambda: rig.requests(CONFIG) == 1, 5.0, "it hangs")
    with Collector() as other:
        rig.learn(base_uri=other.url)
        rig.until_state("ok")


def test_what_of_a_policy_cannot_be_enforced_is_shown(rig: Rig) -> None:
    bad = {**RULE, "regex_config": [{"conditions": [{"path": "request.verb", "value": "("}]}]}
    rig.collector.set_rules(None, [bad])
    rig.start()
    rig.learn()
    rig.until_state("ok")
    (fault,) = rig.status()["faults"]
    assert "r1" in fault


def test_what_it_asks_bears_the_application_and_our_name(rig: Rig) -> None:
    rig.collector.accept([A])
    rig.start()
    rig.learn(user_agent_suffix="shop/2")
    rig.learn(B)
    rig.until_state("ok", A)
    assert "401" in rig.until_state("never fetched: ", B)


def test_a_new_policy_is_no_longer_than_two_spacings_away(rig: Rig) -> None:
    """The budget of 2 s from the changed tag to all workers."""
    rig.start(PolicyPace())
    rig.learn()
    rig.until_state("ok")
    time.sleep(PolicyPace().spacing_s)
    rig.collector.set_rules(None, [RULE])
    begun = time.monotonic()
    rig.name(None, "news")
    rig.until_force({}, [RULE])
    assert time.monotonic() - begun < 1.0


def test_an_application_without_workers_is_not_polled_until_its_next_hello(rig: Rig) -> None:
    poll_s = 0.05
    remote_config = rig.start(PolicyPace(poll_s=poll_s, spacing_s=0.02, backoff=OFTEN, lasting=OFTEN))
    rig.learn(A)
    rig.learn(B)
    remote_config.connected(frozenset({A, B}))
    rig.until_state("ok", A)
    rig.until_state("ok", B)

    def age_s(application_id: str) -> float:
        return float(rig.status(application_id)["age_seconds"])

    remote_config.connected(frozenset({B}))
    eventually(lambda: age_s(A) > 20 * poll_s > 10 * poll_s > age_s(B), 5.0, "only B is asked for")
    assert rig.status(A)["next_check_in_seconds"] is None
    assert rig.status(A)["state"] == "ok"
    rig.learn(A)
    remote_config.connected(frozenset({A, B}))
    eventually(lambda: age_s(A) < 10 * poll_s, 5.0, "A is asked for again")


def test_an_application_whose_worker_only_left_something_behind_is_not_polled_on(rig: Rig) -> None:
    remote_config = rig.start()
    remote_config.connected(frozenset())
    rig.learn()
    remote_config.connected(frozenset())
    eventually(lambda: rig.status().get("next_check_in_seconds", 0.0) is None, 5.0, "it is let go")
