"""P12: bytes on the wire for the same events in equal batches, requests and headers included."""

from benchmarks.shipping import EVENTS, published, shipper, sink
from benchmarks.table import Row, Target
from benchmarks.workbench import Workbench

SIZES = (25, 200)


def measure(bench: Workbench) -> list[Row]:
    return [_row(bench, size) for size in SIZES]


def _row(bench: Workbench, size: int) -> Row:
    ours, ours_url = sink(bench, f"ours-{size}")
    other, other_url = sink(bench, f"published-{size}")
    shipper(bench, f"batches-{size}", ours_url, batch_size=size).turn(EVENTS)
    published(bench, other_url, size).turn(EVENTS)
    seen = {"ours": ours.turn(0), "published": other.turn(0)}
    bytes_an_event = {name: each["bytes"] / EVENTS for name, each in seen.items()}
    what = f"bytes on the wire for an event, batches of {size}"
    target = Target(1.02, "≤ 1.02")
    figures = (bytes_an_event["ours"], bytes_an_event["published"])
    return Row("P12", what, "B", *figures, "moesifasgi 1.1.8", target, {"seen": seen})
