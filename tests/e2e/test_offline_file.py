"""OFFLINE_FILE with a real server: all events are in the file, and nobody is asked anything."""

import json
from pathlib import Path

import pytest
from lab.load import send_mix
from lab.processes import eventually, shippers_of

from moesifasgi.inspector.schema import faults_of
from moesifasgi.middleware import MoesifMiddleware
from moesifasgi.settings import SettingsError


def test_every_event_of_several_workers_is_a_line_and_the_collector_hears_nothing(
    serve, collector, short_dir: Path, tmp_path: Path
) -> None:
    path = tmp_path / "events.ndjson"
    with serve(workers=2, MOESIF_OFFLINE_FILE=str(path)) as server:
        load = send_mix(server.url, 200, concurrency=8)
        server.terminate()
    eventually(lambda: not shippers_of(short_dir), 20.0, "the shipper leaves by itself")
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(events) == load.answered == 200
    assert set(load.transaction_ids) <= {event["transaction_id"] for event in events}
    assert [fault for event in events for fault in faults_of("events", event)] == []
    assert collector.store.requests() == {}


@pytest.mark.parametrize("transport", ["unix", "memory"])
def test_it_needs_a_shipper_of_its_own(transport: str) -> None:
    with pytest.raises(SettingsError, match="OFFLINE_FILE: expected only with TRANSPORT 'auto'"):
        MoesifMiddleware(settings={"APPLICATION_ID": "a", "OFFLINE_FILE": "f", "TRANSPORT": transport})
