"""A secret with a mask for it is not found anywhere behind the worker: socket, spool, collector, logs."""

import gzip
import json
import socket
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from lab.processes import eventually
from lab.servers import running
from lab.status import status_at

from moesifasgi.inspector import Behaviour, Collector
from moesifasgi.shipper.spool.sqlite import open_spool

HERE = Path(__file__).parent
SECRET = "hunter2secret"
MARKER = "visible-marker"
NESTED = {"a": MARKER, "card": {"number": SECRET}, "users": [{"Password": SECRET}, [{"password": SECRET}]]}
STARTS_S = 10.0


class Tap(threading.Thread):
    """A relay in front of the shipper's socket that keeps what the worker writes."""

    def __init__(self, path: Path, shipper: Path) -> None:
        super().__init__(daemon=True)
        self.heard = bytearray()
        self._shipper = shipper
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()

    def run(self) -> None:
        while True:
            try:
                worker, _ = self._listener.accept()
            except OSError:
                return
            shipper = socket.socket(socket.AF_UNIX)
            shipper.connect(str(self._shipper))
            threading.Thread(target=self._relay, args=(shipper, worker, None), daemon=True).start()
            threading.Thread(target=self._relay, args=(worker, shipper, self.heard), daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @staticmethod
    def _relay(source: socket.socket, sink: socket.socket, kept: bytearray | None) -> None:
        # Whichever end goes first, the other thread's call fails.
        with source, suppress(OSError):
            while data := source.recv(65536):
                if kept is not None:
                    kept.extend(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)


@contextmanager
def shipping(directory: Path, collector: Collector) -> Iterator[Path]:
    """A standalone shipper; its socket. It is stopped at the end, and says what it has to say in a log."""
    path = directory / "shipper.sock"
    command = [sys.executable, "-m", "moesifasgi.shipper", "run", f"--socket={path}"]
    options = [f"--spool-dir={directory}", f"--base-uri={collector.url}", "--log-level=debug"]
    with (directory / "shipper.txt").open("ab") as log:
        shipper = subprocess.Popen([*command, *options], stdout=log, stderr=log)
        try:
            eventually(path.exists, STARTS_S, "the shipper listens")
            yield path
        finally:
            shipper.terminate()
            shipper.wait(10)


def spooled(path: Path) -> int:
    return int(status_at(path).get("spool", {"events": 0})["events"])


def spool_content(directory: Path) -> bytes:
    """Every item of the spool, out of its compression."""
    spool = open_spool(directory, max_bytes=1 << 30, min_free_bytes=0, durability="normal")
    try:
        chunks = [chunk for lane in spool.lanes() for chunk in spool.peek(lane, 0, 1000)]
        return b"".join(item.payload for chunk in chunks for item in chunk.items)
    finally:
        spool.close()


def plant(url: str) -> int:
    """Requests with the secret in every place; how many."""
    headers = {
        "x-key": SECRET,
        "authorization": f"Bearer {SECRET}",
        "cookie": f"session={SECRET}",
        "referer": f"http://example.org/?a=1&token={SECRET}",
    }
    query = f"token={SECRET}&a={MARKER}&%74oken={SECRET}&next=%2F%3Ftoken%3D{SECRET}"
    long = {"filler": "x" * 3000, "password": SECRET}
    early = {"password": SECRET, "filler": "x" * 3000}
    packed = gzip.compress(json.dumps(NESTED).encode())
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/echo", {"json": NESTED}),
        ("POST", "/echo", {"json": [NESTED]}),
        ("POST", "/echo", {"json": long}),
        ("POST", "/echo", {"json": early}),
        ("POST", "/form", {"data": {"password": SECRET, "a": MARKER}}),
        ("POST", "/form", {"data": {"password": SECRET}, "files": {"file": SECRET.encode()}}),
        ("POST", "/gzip", {"content": packed, "headers": {"content-encoding": "gzip"}}),
        ("POST", "/html", {"content": f"password is {SECRET}"}),
        ("GET", "/boom", {}),
    ]
    with httpx.Client(base_url=url, headers=headers) as client:
        for method, path, more in requests:
            response = client.request(method, f"{path}?{query}", **more)
            assert response.status_code == (500 if path == "/boom" else 200), response.text
            if path == "/echo":
                assert SECRET in response.text, "the live response is the application's own"
    return len(requests)


def traces_of(secret: str) -> list[bytes]:
    """How a text may stand in bytes: as it is, and in base64 at each of the three positions."""
    shifted = [b64encode(b"\0" * shift + secret.encode())[(0, 2, 3)[shift] :] for shift in range(3)]
    # The last characters depend on what follows.
    return [secret.encode(), *(each.rstrip(b"=")[:-1] for each in shifted)]


def test_a_secret_is_found_in_each_of_its_encodings():
    for before in range(3):
        haystack = b64encode(b"x" * before + SECRET.encode() + b"tail")
        assert any(trace in haystack for trace in traces_of(SECRET))


@pytest.mark.parametrize("masks", ["declared", "function"])
def test_no_secret_is_found_behind_the_worker(masks: str, short_dir: Path, collector: Collector):
    """A1: the published package delivered the password that its mask had removed."""
    log_file = short_dir / "worker.txt"
    environment = {
        "MOESIF_APPLICATION_ID": "end-to-end-application-id-as-long-as-a-real-one-0123456789abcdef",
        "MOESIF_TRANSPORT": "unix",
        "MOESIF_SPOOL_DIR": str(short_dir / "state"),
        "MOESIF_SHIPPER_SOCKET": str(short_dir / "tap.sock"),
        "MASKS": masks,
        "LOG_FILE": str(log_file),
    }
    collector.behave(Behaviour(status=503))
    with shipping(short_dir, collector) as path:
        tap = Tap(short_dir / "tap.sock", path)
        tap.start()
        with running("uvicorn", "masked_app:app", workers=1, cwd=HERE, env=environment) as server:
            count = plant(server.url)
            eventually(lambda: spooled(path) == count, STARTS_S, "all events are in the spool")
            server.terminate()
        tap.close()
    stored = spool_content(short_dir)
    collector.behave(None)
    with shipping(short_dir, collector):
        eventually(lambda: collector.store.counts().distinct == count, STARTS_S, "all are delivered")

    delivered = json.dumps(collector.store.items()).encode()
    logs = log_file.read_bytes() + (short_dir / "shipper.txt").read_bytes()
    assert b"moesif" in logs or b"IDENTIFY_COMPANY" in logs
    for place, content in {"socket": bytes(tap.heard), "spool": stored, "collector": delivered}.items():
        assert MARKER.encode() in content, f"the {place} is not seen by this test"
        found = [trace for trace in traces_of(SECRET) if trace in content]
        assert not found, f"{place}: {content[max(0, content.find(found[0]) - 200) :][:400]!r}"
    assert not [trace for trace in traces_of(SECRET) if trace in logs]
    assert collector.store.summary()["events"]["invalid"] == 0
