"""Calls that an application makes from real workers reach the collector with those that it answers."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from lab.processes import eventually, shippers_of
from lab.servers import running
from lab.upstream import upstream

from moesifasgi.inspector import Collector

HERE = Path(__file__).parent
LIBRARIES = ("httpx", "aiohttp", "requests")
REQUESTS = 60


def test_calls_in_and_out_arrive_together_and_none_is_lost(
    settings: dict[str, str], collector: Collector, short_dir: Path
):
    with upstream() as api:
        environment = {
            "UPSTREAM": api.url,
            "MOESIF_CAPTURE_OUTGOING_REQUESTS": "true",
            "MOESIF_SHIPPER_LINGER": "0",
        }
        with running("uvicorn", "outgoing_app:app", 2, HERE, settings | environment) as server:

            def ask(number: int) -> int:
                path, user = f"/{LIBRARIES[number % 3]}/{number}", {"X-User": f"user-{number}"}
                return httpx.get(server.url + path, headers=user, verify=False, timeout=30).json()

            with ThreadPoolExecutor(8) as pool:
                assert list(pool.map(ask, range(REQUESTS))) == [200] * REQUESTS
            server.terminate()
            arrived = collector.wait_for(lambda store: store.counts().distinct == 2 * REQUESTS, 20)
            eventually(lambda: not shippers_of(short_dir), 20, "the shipper leaves by itself")
    assert arrived, collector.store.summary()
    events = collector.store.items()
    users = Counter((event["direction"], event["user_id"]) for event in events)
    assert users == Counter((way, f"user-{n}") for way in ("Incoming", "Outgoing") for n in range(REQUESTS))
    for event in events:
        if event["direction"] == "Outgoing":
            assert event["request"]["uri"] == f"{api.url}/echo?n={event['user_id'].partition('-')[2]}"
