"""Policy from the collector to the workers, through a real shipper process, its spool and its socket."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from lab.one_shipper import A, B, OneShipper
from lab.processes import eventually

from moesifasgi.channel.carrier import STATS_INTERVAL_S
from moesifasgi.enforcement import in_force
from moesifasgi.inspector import Behaviour, Collector
from moesifasgi.policy.policy import NO_POLICY, Policy

RULE = {"_id": "r1", "type": "regex", "block": True, "response": {"status": 403}}
BUDGET_S = 2.0
"""From the collector's changed tag to all workers."""


@pytest.fixture
def service(short_dir: Path, collector: Collector) -> Iterator[OneShipper]:
    with ExitStack() as stack:
        yield OneShipper(short_dir, collector, stack)


def policy_requests(collector: Collector) -> dict[str, int]:
    return {key: count for key, count in collector.store.requests().items() if key.startswith("GET")}


def test_sixteen_workers_cost_as_much_as_one_and_all_hear_of_a_new_rule_in_time(service: OneShipper) -> None:
    with service.shipper():
        workers = [service.worker() for _ in range(16)]
        empty = {"config": {}, "rules": []}
        eventually(lambda: all(worker.in_force() == empty for worker in workers), 5.0, "all have the first")
        assert policy_requests(service.collector) == {"GET /v1/config 200": 1, "GET /v1/rules 200": 1}

        service.collector.set_rules(None, [RULE])
        begun = time.monotonic()
        for worker in workers:
            service.upload(worker)
        wanted = {"config": {}, "rules": [RULE]}
        eventually(lambda: all(worker.in_force() == wanted for worker in workers), 5.0, "all have the rule")
        took_s = time.monotonic() - begun
    assert took_s < BUDGET_S
    assert policy_requests(service.collector) == {"GET /v1/config 200": 1, "GET /v1/rules 200": 2}
    assert [len(worker.heard[A]) for worker in workers] == [2] * 16


def test_after_a_restart_the_kept_policy_is_in_force_with_the_collector_down(service: OneShipper) -> None:
    service.collector.set_rules(None, [RULE])
    wanted = {"config": {}, "rules": [RULE]}
    with service.shipper() as process:
        first = service.worker()
        eventually(lambda: first.in_force() == wanted, 5.0, "it is in force")
        eventually(lambda: service.policy()["state"] == "ok", 5.0, "it is checked")
        process.kill()
        process.wait()
    service.collector.close()
    with service.shipper():
        second = service.worker()
        eventually(lambda: second.in_force() == wanted, 5.0, "it is in force again")
        eventually(lambda: service.policy()["state"].startswith("stale: /v1/config: "), 5.0, "status says so")
        assert service.status()["healthy"]
        assert service.status()["notes"]
        eventually(lambda: first.channel.stats()["connected"], 5.0, "the older worker is back")
        assert first.heard[A] == [wanted], "what it knew was no news to it"


def test_each_application_of_a_connection_has_its_own_policy(service: OneShipper) -> None:
    service.collector.set_config(A, {"sample_rate": 1})
    service.collector.set_config(B, {"sample_rate": 2})
    with service.shipper():
        worker = service.worker(A, B)
        eventually(lambda: all(worker.heard.values()), 5.0, "both are told")
        service.collector.set_config(B, {"sample_rate": 3})
        service.upload(worker, B)
        eventually(lambda: worker.in_force(B)["config"] == {"sample_rate": 3}, 5.0, "the change is told")
    assert [policy["config"] for policy in worker.heard[A]] == [{"sample_rate": 1}]


def test_one_applications_bad_collector_does_not_disturb_another(service: OneShipper) -> None:
    service.collector.behave(Behaviour(hang=True, application_id=B, path_prefix="/v1/config"))
    with service.shipper():
        worker = service.worker(B, A)
        eventually(lambda: worker.in_force(A), 2.0, "the good one is told")
        assert worker.in_force(B) is None


def test_a_configuration_that_cannot_be_had_keeps_back_the_rules_that_need_it(service: OneShipper) -> None:
    about_users = {"_id": "u", "type": "user", "applied_to": "not_matching", "block": True}
    service.collector.set_rules(None, [RULE, about_users])
    service.collector.behave(Behaviour(status=503, path_prefix="/v1/config"))
    with service.shipper():
        worker = service.worker()
        eventually(
            lambda: worker.in_force() == {"config": {}, "rules": [RULE]}, 5.0, "regex rules are in force"
        )
        eventually(lambda: service.policy()["state"].startswith("without config"), 5.0, "status says so")


def test_acknowledgements_and_drains_go_on_while_a_worker_compiles_a_policy(
    service: OneShipper, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, gate = threading.Event(), threading.Event()

    class Slow(Policy):
        @classmethod
        def compile(cls, document: Any, **more: Any) -> Policy:
            begun.set()
            gate.wait(20.0)
            return Policy.compile(document, **more)

    monkeypatch.setattr(in_force, "Policy", Slow)
    service.collector.set_rules(None, [RULE])
    try:
        with service.shipper():
            worker = service.worker()
            compiled = in_force.PolicyInForce(worker.channel, worker.keys[A], first_match=False)
            assert begun.wait(5.0)
            service.upload(worker)
            assert worker.channel.drain(5.0, give_up=False).delivered
            eventually(lambda: worker.channel.stats()["ring_events"] == 0, 5.0, "it is acknowledged")
            assert compiled.policy is NO_POLICY
            gate.set()
            eventually(lambda: not compiled.policy.governance.empty, 5.0, "the policy is in force")
    finally:
        gate.set()


def test_a_worker_that_says_another_address_gets_that_ones_policy(service: OneShipper) -> None:
    with service.shipper(), Collector() as other:
        other.set_config(None, {"sample_rate": 9})
        before = service.worker()
        eventually(before.in_force, 5.0, "the first is told")
        service.worker(base_uri=other.url)
        eventually(lambda: before.in_force()["config"] == {"sample_rate": 9}, 5.0, "the new one is told")


def test_what_a_worker_reports_is_in_status_and_in_words(service: OneShipper) -> None:
    with service.shipper():
        workers = [service.worker() for _ in range(2)]
        for worker in workers:
            worker.channel.report(worker.keys[A], ("rule r1 is parked",))
        eventually(lambda: service.policy()["parked"], STATS_INTERVAL_S + 4.0, "it is reported")
        assert service.policy()["parked"] == ["rule r1 is parked"]
        argv = [sys.executable, "-m", "moesifasgi.shipper", "status", f"--socket={service.path}"]
        words = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert "the policy of …AAAA: 1 parked: rule r1 is parked" in words
    assert "policy: ok, 0 rules, checked " in words


def test_a_shipper_leaves_in_time_while_a_request_hangs(service: OneShipper) -> None:
    service.collector.behave(Behaviour(hang=True, path_prefix="/v1/config"))
    with service.shipper() as process:
        service.worker()
        hung: Callable[[Any], bool] = lambda store: "GET /v1/config hung" in store.requests()  # noqa: E731
        assert service.collector.wait_for(hung, 5.0)
        begun = time.monotonic()
        process.terminate()
        assert process.wait(5.0) == 0
        assert time.monotonic() - begun < 3.0
