"""The page for monitors: what it tells, to whom, and what a caller can cost."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner
from lab.corpus import orders
from lab.monitor_client import ask
from lab.processes import eventually
from lab.shipper_process import channel_to, feed, standalone, started
from lab.tools import needed
from prometheus_client.parser import text_string_to_metric_families

from moesifasgi.inspector import Behaviour, Collector
from moesifasgi.places import SOCKET_NAME
from moesifasgi.shipper.cli import main
from moesifasgi.shipper.metrics import Metrics
from moesifasgi.shipper.monitor import Monitor
from moesifasgi.shipper.monitor_address import MetricsUnavailable, MonitorAddress, parse_address
from moesifasgi.shipper.monitor_page import CALLER_S, MAX_CALLERS
from moesifasgi.unix_socket import answers, listening
from moesifasgi.wire.application import Application

APPLICATION = "application-whose-metrics-are-looked-at-by-tests-WXYZ"
NAMES = {
    *("events_received_total", "events_delivered_total", "events_dropped_total", "dead_letters_total"),
    *("spool_events", "spool_bytes", "spool_oldest_age_seconds", "upload_requests_total"),
    *("upload_retries_total", "upload_seconds_bucket", "last_success_timestamp_seconds", "workers"),
}
"""What dashboards and alerts of users lean on: never renamed."""
DOCUMENT: dict[str, Any] = {
    "version": "1.2.3",
    "healthy": True,
    "uptime_seconds": 1.0,
    "workers": [],
    "reasons": [],
    "advice": [],
    "notes": [],
    "counters": {"received": 1, "delivered": 1, "duplicates": 0, "dropped": {'od"d\n': 2}},
    "upload": {
        "requests": {},
        "retries": 0,
        "in_flight": 0,
        "last_success_age_seconds": None,
        "dead_letters": {"413": 3},
    },
    "spool": {"events": 0, "bytes": 0, "max_bytes": 1, "oldest_age_seconds": None, "dead_letters": 3},
    "applications": {"…WXYZ": {"state": "parked", "policy": None}},
}


def figures(text: str) -> dict[str, float]:
    """Samples by name and labels."""
    return {
        sample.name + "".join(f"{{{key}={value}}}" for key, value in sample.labels.items()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    made = Monitor(MonitorAddress("127.0.0.1", 0), Metrics())
    yield made
    made.close()
    made.close()


@pytest.fixture
def address(monitor: Monitor) -> tuple[str, int]:
    monitor.start(lambda: DOCUMENT)
    return "127.0.0.1", monitor.port


@pytest.mark.parametrize("with_tcp", [True, False], ids=["tcp", "unix"])
def test_a_shippers_metrics_are_what_happened(short_dir: Path, collector: Collector, with_tcp: bool):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    at: Any = ("127.0.0.1", port) if with_tcp else short_dir / "m"
    option = f"--metrics=127.0.0.1:{port}" if with_tcp else f"--metrics=unix:{at}"
    options = (f"--spool-dir={short_dir}", f"--socket={short_dir / SOCKET_NAME}", option)
    application = Application(APPLICATION, base_uri=collector.url, batch_timeout_s=0.05)
    with started(short_dir, "run", *options) as shipper, channel_to(shipper, application) as channel:
        feed(channel, orders(100))
        assert channel.drain(20.0, give_up=False).delivered
        collector.behave(Behaviour(status=413, path_prefix="/v1/events"))
        feed(channel, orders(1, seed=2))
        eventually(lambda: shipper.counters()["dead_lettered"] == 1, 20.0, "it is refused for good")
        page = ask(at, "/metrics")
        found = figures(page.text)
        assert page.kind == "text/plain; version=0.0.4; charset=utf-8"
        prefixed = {f"moesif_shipper_{name}" for name in NAMES}
        assert prefixed <= {re.sub("{.*", "", name) for name in found}
        assert found["moesif_shipper_events_dropped_total{reason=spool_full}"] == 0
        assert found["moesif_shipper_events_received_total"] == 101
        assert found["moesif_shipper_events_delivered_total"] == 100
        assert found["moesif_shipper_dead_letters_total{code=413}"] == 1
        assert found["moesif_shipper_workers"] == 1
        assert found["moesif_shipper_upload_requests_total{code=413}"] == 1
        requests = sum(value for name, value in found.items() if "upload_requests_total" in name)
        assert found["moesif_shipper_upload_seconds_count"] == requests
        assert abs(found["moesif_shipper_last_success_timestamp_seconds"] - time.time()) < 60
        assert APPLICATION[:-4] not in page.text
        assert ask(at, "/healthz").status == 200
        collector.behave(Behaviour(status=401, path_prefix="/v1/events"))
        feed(channel, orders(1, seed=3))
        eventually(lambda: ask(at, "/healthz").status == 503, 20.0, "it says that events do not arrive")
        assert (
            "events of …WXYZ: parked: 401 Unauthorized; check this application's id"
            in ask(at, "/healthz").text
        )
        parked = figures(ask(at, "/metrics").text)
        assert parked["moesif_shipper_application_parked{application=…WXYZ}"] == 1
        assert parked["moesif_shipper_healthy"] == 0
        shipper.terminate()
        assert not (short_dir / "m").exists()


def test_promtool_has_nothing_to_say_about_the_metrics():
    needed("promtool")
    text = Metrics().text(DOCUMENT)
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_without_being_asked_for_nothing_listens_and_the_library_is_not_loaded(short_dir: Path):
    options = (f"--spool-dir={short_dir}", f"--socket={short_dir / SOCKET_NAME}")
    with started(short_dir, "run", *options) as shipper:
        assert not listening_ports(shipper.popen.pid)
    code = "import sys; import moesifasgi.shipper.daemon; print('prometheus_client' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def listening_ports(pid: int) -> list[str]:
    """TCP, of a process."""
    return [
        str(each.laddr) for each in psutil.Process(pid).net_connections("inet") if each.status == "LISTEN"
    ]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9464", MonitorAddress("127.0.0.1", 9464)),
        ("127.9.9.9:1", MonitorAddress("127.9.9.9", 1)),
        ("localhost:9464", MonitorAddress("127.0.0.1", 9464)),
        ("[::1]:9464", MonitorAddress("::1", 9464)),
        ("unix:/run/moesif/metrics.sock", MonitorAddress(path=Path("/run/moesif/metrics.sock"))),
    ],
)
def test_an_address_of_this_host_is_taken(text: str, address: MonitorAddress):
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "9464", ":9464", "0.0.0.0:9464", "10.0.0.1:9464", "[::]:9464", "example.org:9464"),
        *("127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "127.0.0.1:-1", "unix:", "unix:m.sock"),
    ],
)
def test_any_other_is_refused(text: str):
    with pytest.raises(ValueError):
        parse_address(text)


def test_whoever_asks_for_another_address_is_told_what_was_expected(short_dir: Path):
    said = CliRunner().invoke(main, ["run", f"--spool-dir={short_dir}", "--metrics=0.0.0.0:9464"])
    assert said.exit_code == 1
    assert "--metrics: expected HOST:PORT with a loopback address" in said.output


def test_an_address_that_is_taken_is_named(monitor: Monitor):
    with pytest.raises(MetricsUnavailable, match=rf"for metrics on 127.0.0.1:{monitor.port}: .*in use"):
        Monitor(MonitorAddress("127.0.0.1", monitor.port), Metrics())


def test_a_shipper_that_does_not_answer_is_unhealthy(monitor: Monitor):
    monitor.start(lambda: None)
    for path in ("/healthz", "/metrics"):
        assert ask(("127.0.0.1", monitor.port), path).status == 503


def test_other_paths_and_methods_are_refused(address: tuple[str, int]):
    assert ask(address, "/").status == 404
    with socket.create_connection(address, 10.0) as caller:
        caller.sendall(b"POST /metrics HTTP/1.0\r\n\r\n")
        assert b" 501 " in caller.recv(1 << 16)


def test_callers_that_say_nothing_neither_hold_their_places_nor_make_more(monitor: Monitor, address):
    silent = [socket.create_connection(address, 3 * CALLER_S) for _ in range(MAX_CALLERS)]
    began = time.monotonic()
    with socket.create_connection(address, 3 * CALLER_S) as one_more:
        assert one_more.recv(1) == b""
    assert time.monotonic() - began < CALLER_S
    for caller in silent:
        assert caller.recv(1) == b""
        caller.close()
    eventually(lambda: ask(address, "/healthz").status == 200, 10.0, "there is a place again")


def test_a_socket_at_which_somebody_else_listens_is_left_alone(short_dir: Path):
    path = short_dir / "m.sock"
    with closing(listening(path, 0o600)), pytest.raises(MetricsUnavailable, match="somebody else listens"):
        Monitor(MonitorAddress(path=path), Metrics())
    first = Monitor(MonitorAddress(path=path), Metrics())
    path.unlink()
    with closing(listening(path, 0o600)):
        first.close()
        assert path.is_socket()


@pytest.fixture
def named(short_dir: Path) -> Iterator[tuple[Monitor, Path]]:
    """A monitor at a Unix socket, in a directory of its own."""
    path = short_dir / "run" / "m.sock"
    path.parent.mkdir()
    made = Monitor(MonitorAddress(path=path), Metrics())
    made.start(lambda: DOCUMENT)
    yield made, path
    made.close()


def test_a_socket_that_was_deleted_is_made_again(named: tuple[Monitor, Path]):
    monitor, path = named
    path.unlink()
    eventually(lambda: answers(path, 10.0), 10.0, "it is there again")
    assert ask(path, "/healthz").status == 200
    assert not monitor.reasons
    monitor.close()
    assert not path.exists()


def test_a_socket_that_somebody_replaced_is_theirs_and_told(named: tuple[Monitor, Path]):
    monitor, path = named
    path.unlink()
    with closing(listening(path, 0o600)):
        eventually(lambda: monitor.reasons, 10.0, "it is told")
        assert monitor.reasons[0].what == f"{path} is another socket, of user id {os.geteuid()}"
    eventually(lambda: not monitor.reasons, 10.0, "what they left is replaced")
    assert ask(path, "/healthz").status == 200


def test_a_directory_that_is_gone_is_a_note_of_status_while_events_arrive(
    short_dir: Path, collector: Collector
):
    path = short_dir / "run" / "m.sock"
    path.parent.mkdir()
    with standalone(short_dir, f"--metrics=unix:{path}") as shipper:
        path.unlink()
        path.parent.rmdir()
        eventually(lambda: shipper.status()["notes"], 10.0, "it is told")
        assert shipper.status()["notes"][0].startswith(f"the socket {path} is gone, and cannot be made again")
        assert shipper.status()["healthy"]
        given = [f"--spool-dir={short_dir}", f"--socket={shipper.socket}", f"--base-uri={collector.url}"]
        result = CliRunner().invoke(main, ["check", *given, f"--metrics=unix:{path}"])
        told = f"shipper {shipper.popen.pid} should listen on unix:{path}, but nobody answers there"
        assert f"warning  metrics: {told}" in result.output.splitlines()


def test_a_socket_that_cannot_be_taken_away_does_not_keep_it_from_ending(
    named: tuple[Monitor, Path], monkeypatch
):
    def refused(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refused)
    monitor, path = named
    monitor.close()
    monkeypatch.undo()
    assert path.is_socket()
    assert not answers(path, 10.0)


def test_callers_for_whom_no_thread_can_start_take_no_place(address: tuple[str, int], monkeypatch):
    tried = []

    def refused(thread: threading.Thread) -> None:
        tried.append(thread)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    for _ in range(MAX_CALLERS + 1):
        with socket.create_connection(address, 10.0) as caller:
            assert caller.recv(1) == b""
    monkeypatch.undo()
    assert len(tried) == MAX_CALLERS + 1
    assert ask(address, "/healthz").status == 200
