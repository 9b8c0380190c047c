"""The inspector as a program, and where it listens."""

import contextlib
import logging
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from moesifasgi.inspector import Collector
from moesifasgi.inspector.collector import is_loopback

ROOT = Path(__file__).parent.parent.parent
PROGRAM = (
    "import sys; from pathlib import Path; from moesifasgi.inspector import serve;"
    "serve(sys.argv[1], int(sys.argv[2]), log_file=Path(sys.argv[3]))"
)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_and_runs_until_a_signal(
    client_of: Any, tmp_path: Path, end: signal.Signals
) -> None:
    command = [sys.executable, "-c", PROGRAM, "127.0.0.1", "0", str(tmp_path / "log")]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        url = process.stdout.readline().split()[1].removesuffix("/inspector/")
        assert client_of(url).post("/v1/users", {"user_id": "u"}).status_code == 201
        process.send_signal(end)
        rest, errors = process.communicate(timeout=10)
    assert (process.returncode, rest, errors) == (0, "", "")
    assert orjson.loads((tmp_path / "log").read_bytes())["item"] == {"user_id": "u"}


def test_a_port_in_use_is_an_error_of_the_system(collector: Collector) -> None:
    with pytest.raises(OSError, match="in use"):
        Collector(port=collector.port).start()


def test_a_collector_is_started_once(collector: Collector) -> None:
    with pytest.raises(RuntimeError):
        collector.start()


def test_listening_beyond_loopback_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), Collector("0.0.0.0"):
        assert "whoever reaches it" in caplog.text


def test_listening_on_loopback_is_not_worth_a_word(caplog: pytest.LogCaptureFixture) -> None:
    with Collector():
        assert not caplog.records


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("", False),
        ("0.0.0.0", False),
    ],
)
def test_loopback_is_known_by_address_and_name(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_it_listens_on_ipv6_too(client_of: Any) -> None:
    try:
        collector = Collector("::1").start()
    except OSError:
        pytest.skip("no IPv6 loopback here")
    with contextlib.closing(collector):
        assert client_of(collector.url).get("/health/probe").status_code == 200
