"""P1: the CPU that capture adds to a request, with no user functions.

Every variant is the same FastAPI application in a process of its own; a figure is what a variant costs more
than the bare application did in the same round.
"""

import json
import sys

from lab.published import published_python

from benchmarks.table import Row, Target
from benchmarks.workbench import Subject, Workbench, added
from moesifasgi.inspector import Collector

MODULE = "benchmarks.subjects.asgi"
OURS, PUBLISHED = (
    f"benchmark-application-id-of-the-usual-length-of-{name}" for name in ("ours", "published")
)
"""Application ids, by which the collector tells the two apart."""
ARRIVAL_TIMEOUT_S = 30.0


def measure(bench: Workbench) -> list[Row]:
    """Ours beside the floor, the published package, and a BaseHTTPMiddleware that does nothing."""
    collector = bench.stack.enter_context(Collector())
    samples = bench.alternate(_subjects(bench, collector.url))
    _require_arrivals(collector)
    extra = {name: added(samples, name, "bare") * 1e6 for name in samples}

    def row(other: str, title: str, target: Target | None) -> Row:
        what = "CPU added a request, no hooks"
        return Row("P1", what, "µs", extra["ours"], extra[other], title, target, {"cpu_s": samples})

    return [
        row("floor", "floor", Target(1.5, "≤ 1.5")),
        row("published", "moesifasgi 1.1.8", Target(1 / 15, "≤ 1/15")),
        row("base-http", "BaseHTTPMiddleware, empty", Target(1.0, "< 1")),
        row("no-op", "ASGI wrapper, empty", None),
    ]


def _subjects(bench: Workbench, collector_url: str) -> dict[str, Subject]:
    path = str(bench.directory / "sink")
    bench.subject("sink", sys.executable, "benchmarks.subjects.sink", path).turn(0)
    published = {"APPLICATION_ID": PUBLISHED, "BASE_URI": collector_url}
    ours = {
        "APPLICATION_ID": OURS,
        "BASE_URI": collector_url,
        "SPOOL_DIR": str(bench.directory / "spool"),
        # No standalone shipper of this machine may stand in for the embedded one.
        "SHIPPER_SOCKET": str(bench.directory / "none"),
        "SHIPPER_LINGER": 1,
    }
    return {
        "bare": bench.subject("bare", sys.executable, MODULE, "bare"),
        "floor": bench.subject("floor", sys.executable, MODULE, "floor", path),
        "ours": bench.subject("ours", sys.executable, MODULE, "moesif", json.dumps(ours)),
        "no-op": bench.subject("no-op", sys.executable, MODULE, "no-op"),
        "base-http": bench.subject("base-http", sys.executable, MODULE, "base-http"),
        "published": bench.subject("published", published_python(), MODULE, "moesif", json.dumps(published)),
    }


def _require_arrivals(collector: Collector) -> None:
    # A middleware whose events go nowhere is cheap (or dear) for the wrong reason.
    wanted = {OURS, PUBLISHED}
    if not collector.wait_for(lambda store: wanted <= set(store.applications()), ARRIVAL_TIMEOUT_S):
        raise RuntimeError(f"only {collector.store.summary()['applications']} delivered events")
