"""Middlewares and services that share an application and a shipper: each event is built by its own settings.

The shipper knows an application by what it is told first; what an event depends on must come with its record.
"""

import json
from base64 import urlsafe_b64encode
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from lab.one_worker import OneWorker, asked
from lab.processes import shippers_of
from lab.servers import running
from starlette.responses import PlainTextResponse

from moesifasgi.inspector import Collector

HERE = Path(__file__).parent
SERVICES, PARTS = ("one", "two"), ("a", "b")
ARRIVE_S = 15.0


def bearer(payload: dict[str, Any]) -> dict[str, str]:
    """An unsigned token."""
    coded = urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    return {"Authorization": f"Bearer e30.{coded}.c2ln"}


EVERYBODY = bearer({name: {part: f"user of {name}.{part}" for part in PARTS} for name in SERVICES})


@pytest.mark.parametrize("masks", [{}, {"REQUEST_BODY_MASKS": ["password"]}], ids=["plain", "masked"])
def test_two_middlewares_of_one_application_in_one_process(worker: OneWorker, masks: dict[str, Any]):
    for name in SERVICES:
        own = {
            "API_VERSION": name,
            "AUTHORIZATION_USER_ID_FIELD": f"{name}.a",
            "TRUSTED_PROXIES": ["127.0.0.1"] if name == "one" else [],
        }
        app = worker.wrap(PlainTextResponse("x"), **own, **masks)
        asked(app, "GET", "/", headers={**EVERYBODY, "X-Forwarded-For": "203.0.113.7"})

    seen = [
        (event["request"]["api_version"], event["user_id"], event["request"]["ip_address"])
        for event in worker.events
    ]
    assert seen == [("one", "user of one.a", "203.0.113.7"), ("two", "user of two.a", "127.0.0.1")]


def test_two_services_of_two_middlewares_share_an_embedded_shipper(short_dir: Path, collector: Collector):
    shared = {
        "MOESIF_APPLICATION_ID": "an-application-of-two-services",
        "MOESIF_BASE_URI": collector.url,
        "MOESIF_SPOOL_DIR": str(short_dir),
        "MOESIF_SHIPPER_SOCKET": str(short_dir / "no-standalone-shipper.sock"),
        "MOESIF_SHIPPER_LINGER": "0",
    }
    with ExitStack() as stack:
        for name in SERVICES:
            environment = {**shared, "SERVICE": name}
            server = stack.enter_context(
                running(app="services_app:app", workers=1, cwd=HERE, env=environment)
            )
            for part in PARTS:
                answer = httpx.get(f"{server.url}/{part}/", headers=EVERYBODY, trust_env=False)
                assert answer.text == f"{name}.{part}"
        assert collector.wait_for(lambda store: store.counts().distinct == 4, ARRIVE_S)
        assert len(shippers_of(short_dir)) == 1

    owns = [f"{name}.{part}" for name in SERVICES for part in PARTS]
    seen = {(event["request"]["api_version"], event["user_id"]) for event in collector.store.items()}
    assert seen == {(own, f"user of {own}") for own in owns}
