"""What the rows of the shipper share: collectors that count, the same events for both sides, and the pair."""

import json
import socket
import sys
from pathlib import Path

from lab.corpus import orders
from lab.published import published_python

from benchmarks.workbench import Subject, Workbench
from moesifasgi.shipper.payload import encode_item
from moesifasgi.wire.messages import Kind

BATCH_SIZE = 200
EVENTS = 4_000


def sink(bench: Workbench, name: str, delay_s: float = 0.0) -> tuple[Subject, str]:
    """A collector that takes everything, ``delay_s`` away, and its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    module = "benchmarks.subjects.http_sink"
    opened = bench.subject(f"sink-{name}", sys.executable, module, str(port), str(delay_s))
    opened.turn(0)
    return opened, f"http://127.0.0.1:{port}"


def home(bench: Workbench, name: str) -> Path:
    """A shipper's directory."""
    made = bench.directory / name
    made.mkdir(mode=0o700)
    return made


def shipper(bench: Workbench, name: str, url: str, workers: int = 1, batch_size: int = BATCH_SIZE) -> Subject:
    arguments = (str(home(bench, name)), url, str(workers), str(batch_size))
    return bench.subject(name, sys.executable, "benchmarks.subjects.shipper", *arguments)


def published(bench: Workbench, url: str, batch_size: int = BATCH_SIZE) -> Subject:
    """The published package's upload path, over the same events."""
    file = bench.directory / "events.json"
    events = [json.loads(encode_item(Kind.RECORD, payload)) for _, payload in orders(EVENTS)]
    file.write_text(json.dumps(events), "utf-8")
    module = "benchmarks.subjects.published_upload"
    return bench.subject("published", published_python(), module, str(file), url, str(batch_size))
