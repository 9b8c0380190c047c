"""What a worker tells of an application: it survives the wire, and nonsense is refused."""

import re
from typing import Any

import msgpack
import pytest

from moesifasgi.wire.application import Application

FULL = Application(
    application_id="the-secret-of-1234",
    base_uri="https://proxy.example:9500/collector",
    batch_size=10,
    batch_timeout_s=0.5,
    concurrent_uploads=2,
    user_agent_suffix="mine",
    http_proxy="http://proxy:3128",
    ca_bundle="/etc/ca.pem",
)


@pytest.mark.parametrize("application", [FULL, Application("a")], ids=["full", "defaults"])
def test_an_application_survives_the_wire(application: Application):
    assert Application.from_wire(msgpack.unpackb(msgpack.packb(application.to_wire()))) == application


def test_what_a_newer_worker_adds_is_ignored_and_what_an_older_one_lacks_has_its_default():
    assert Application.from_wire({"application_id": "a", "colour": "blue"}) == Application("a")


@pytest.mark.parametrize(
    "changed",
    [
        {"application_id": ""},
        {"application_id": None},
        {"application_id": b"bytes"},
        {"base_uri": 1},
        {"batch_size": True},
        {"batch_size": "25"},
        {"batch_size": 0},
        {"batch_timeout_s": float("nan")},
        {"batch_timeout_s": float("inf")},
        {"batch_timeout_s": -1.0},
        {"concurrent_uploads": None},
        {"concurrent_uploads": 0},
        {"concurrent_uploads": 1_000_000},
        {"ca_bundle": []},
    ],
    ids=repr,
)
def test_a_setting_that_cannot_be_is_refused_by_name(changed: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(changed))):
        Application.from_wire({**FULL.to_wire(), **changed})


@pytest.mark.parametrize("wire", [None, 5, "application_id", ["application_id"], b""])
def test_what_is_no_map_is_refused(wire: Any):
    with pytest.raises(ValueError, match="map"):
        Application.from_wire(wire)


def test_the_id_is_not_shown():
    assert "1234" in repr(FULL)
    assert FULL.label == "…1234"
    assert not re.search("the-secret", repr(FULL))
