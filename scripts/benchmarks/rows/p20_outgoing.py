"""P20: the CPU, and the threads, that recording adds to an outgoing call, beside the published package."""

import json
import sys

from lab.published import published_python
from lab.upstream import upstream

from benchmarks.table import Row, Target
from benchmarks.workbench import Subject, Workbench, added
from moesifasgi.inspector import Collector

MODULE = "benchmarks.subjects.outgoing"
OURS, PUBLISHED = (
    f"benchmark-application-id-of-the-usual-length-of-{name}" for name in ("ours", "published")
)
ARRIVAL_TIMEOUT_S = 30.0
PEER = "moesifpythonrequest 0.3.5"


def measure(bench: Workbench) -> list[Row]:
    """Calls of requests to an API on this machine: bare, recorded by us, and by the published package."""
    collector = bench.stack.enter_context(Collector())
    api = bench.stack.enter_context(upstream())
    subjects = _subjects(bench, f"{api.url}/echo", collector.url)
    samples = bench.alternate(subjects)
    count = bench.plan.count
    threads = {name: subject.turn(count)["threads"] / count for name, subject in subjects.items()}
    wanted = {OURS, PUBLISHED}
    if not collector.wait_for(lambda store: wanted <= set(store.applications()), ARRIVAL_TIMEOUT_S):
        raise RuntimeError(f"only {collector.store.summary()['applications']} delivered events")
    ours, published = (added(samples, name, "bare") * 1e6 for name in ("ours", "published"))
    cpu = Target(1 / 5, "≤ 1/5")
    none = Target(0.0, "0", absolute=True)
    return [
        Row("P20", "CPU added an outgoing call", "µs", ours, published, PEER, cpu, {"cpu_s": samples}),
        Row("P20", "threads started for it", "", threads["ours"], threads["published"], PEER, none),
    ]


def _subjects(bench: Workbench, url: str, collector_url: str) -> dict[str, Subject]:
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
        "bare": bench.subject("bare", sys.executable, MODULE, "bare", url),
        "ours": bench.subject("ours", sys.executable, MODULE, "ours", url, json.dumps(ours)),
        "published": bench.subject(
            "published", published_python(), MODULE, "published", url, json.dumps(published)
        ),
    }
