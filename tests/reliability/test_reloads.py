"""T15: the configuration is read again under load: nothing is lost, and a bad one changes nothing."""

from dataclasses import replace
from pathlib import Path

import pytest
from lab.corpus import orders
from lab.counts import count_of
from lab.processes import eventually
from lab.shipper_process import ShipperProcess, channel_to, configure, standalone
from lab.tenants import Tenant, tenants
from lab.trickle import trickling

from moesifasgi.channel.unix import UnixChannel
from moesifasgi.inspector import Behaviour
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Kind

RELOADS_IN_S = 10.0
ARRIVES_IN_S = 15.0
ENOUGH = 200
"""Events under which a loss would show."""
BAD = (
    'drain_timeout = "soon"\nsockett = "x"\n',
    "this is no TOML",
    "[[application]]\n",
    'unknown_applications = "refuse"\n',
)


def section(tenant: Tenant, *lines: str) -> str:
    id_line = f'id = "{tenant.application.application_id}"'
    return "\n".join(("[[application]]", id_line, f'base_uri = "{tenant.collector.url}"', *lines, ""))


def faults(shipper: ShipperProcess) -> list[str]:
    found: list[str] = shipper.status()["configuration"]["faults"]
    return found


@pytest.mark.timeout(600)
def test_nothing_is_lost_by_reloads_under_load_and_a_bad_file_keeps_the_old_settings(short_dir: Path):
    with tenants(["one"]) as by_name:
        good = section(by_name["one"], "batch_size = 7")
        with standalone(short_dir, configuration=good) as shipper:
            # What the worker says leads nowhere: only the configuration leads somewhere, all the time.
            with (
                channel_to(shipper, _to_nowhere(by_name["one"].application)) as channel,
                trickling(channel) as load,
            ):
                store = by_name["one"].collector.store
                eventually(lambda: store.counts().distinct, ARRIVES_IN_S, "it flows")
                for number in range(count_of(20)):
                    bad = number % 2 == 0
                    configure(short_dir, BAD[number // 2 % len(BAD)] if bad else good)
                    shipper.reload()
                    eventually(lambda bad=bad: bool(faults(shipper)) is bad, RELOADS_IN_S, "it is read")
                    arrived = store.counts().distinct
                    eventually(lambda a=arrived: store.counts().distinct > a, ARRIVES_IN_S, "it still flows")
                for _ in range(count_of(20)):  # As fast as they come.
                    shipper.reload()
                eventually(lambda: len(load.offered) > ENOUGH, ARRIVES_IN_S, "there was enough load")
                load.stop()
                eventually(lambda: not _missing(by_name["one"], load.offered), ARRIVES_IN_S, "all arrives")
                eventually(lambda: not shipper.spooled(), ARRIVES_IN_S, "all is settled")
            counters = shipper.counters()
            assert shipper.terminate() < 15.0
    assert (counters["received"], counters["delivered"]) == (len(load.offered), len(load.offered))
    assert (counters["dropped"], counters["difference"]) == ({}, 0)


def test_what_is_wrong_with_a_new_file_is_in_status_and_once_in_the_log(short_dir: Path):
    with standalone(short_dir, configuration="drain_timeout = 3\n") as shipper:
        assert not faults(shipper)
        configure(short_dir, BAD[0])
        for _ in range(3):
            shipper.reload()
            eventually(lambda: faults(shipper), RELOADS_IN_S, "the fault is known")
        file = short_dir / "shipper.toml"
        expected = [
            f"drain_timeout ({file}): expected seconds from 0 to 3600, got 'soon' (str)",
            f"{file}: unknown key 'sockett'; did you mean socket?",
        ]
        assert faults(shipper) == expected
        found = shipper.status()
        assert [f"the configuration cannot be used, the old one stays: {line}" for line in expected] == [
            note for note in found["notes"] if "configuration" in note
        ]
        assert found["healthy"]
        configure(short_dir, "drain_timeout = 4\n")
        shipper.reload()
        eventually(lambda: not faults(shipper), RELOADS_IN_S, "it is mended")
        assert not [note for note in shipper.status()["notes"] if "configuration" in note]
        assert shipper.log().count("the old one stays: drain_timeout") == 1


def test_what_cannot_change_while_it_runs_is_said_to_need_a_restart(short_dir: Path):
    with standalone(short_dir) as shipper:
        configure(short_dir, 'durability = "normal"\nspool_max_bytes = 1000000\n')
        shipper.reload()
        eventually(lambda: shipper.status()["spool"]["max_bytes"] == 1_000_000, RELOADS_IN_S, "it is read")
        told = "configuration: durability cannot change while the shipper runs; a restart does it"
        assert told in shipper.status()["notes"]


def test_a_reload_sends_what_follows_to_the_new_address_and_asks_at_once_for_what_was_parked(short_dir: Path):
    """T6: parked uploads resume by a reload too."""
    with tenants(["old", "new"]) as by_name:
        old, new = by_name["old"], by_name["new"]
        old.misbehave(Behaviour(status=403))
        with (
            standalone(short_dir, configuration=f'base_uri = "{old.collector.url}"\n') as shipper,
            channel_to(shipper, _to_nowhere(old.application)) as channel,
        ):
            old.feed(channel, 50)
            eventually(lambda: "parked: 403" in " ".join(shipper.status()["reasons"]), 10.0, "it is parked")
            configure(short_dir, f'base_uri = "{new.collector.url}"\n')
            shipper.reload()
            eventually(
                lambda: old.offered == new.collector.store.transaction_ids(), 10.0, "all arrives at the other"
            )
            assert old.collector.store.counts().distinct == 0
            eventually(lambda: shipper.status()["healthy"], 5.0, "all is well")


def test_an_application_that_is_not_named_is_refused_and_keeps_its_events_until_it_is(short_dir: Path):
    with tenants(["known", "unknown"]) as by_name:
        known, unknown = by_name["known"], by_name["unknown"]
        refusing = 'unknown_applications = "refuse"\n' + section(known)
        with (
            standalone(short_dir, configuration=refusing) as shipper,
            channel_to(shipper, known.application) as welcome,
            channel_to(shipper, unknown.application) as unwelcome,
        ):
            known.feed(welcome, 50)
            unknown.offered |= _offered(unwelcome, 50)
            eventually(lambda: not known.missing(), ARRIVES_IN_S, "the one is served")
            eventually(lambda: shipper.status()["peers"]["refused"], ARRIVES_IN_S, "the other is refused")
            assert shipper.counters()["received"] == 50
            assert unknown.application.application_id not in shipper.log()
            assert unknown.application.label in shipper.log()
            configure(short_dir, refusing + section(unknown))
            shipper.reload()
            eventually(lambda: not unknown.missing(), ARRIVES_IN_S, "what it kept arrives")
            configure(short_dir, refusing)
            shipper.reload()
            eventually(lambda: len(shipper.status()["workers"]) == 1, ARRIVES_IN_S, "it is sent away again")
            known.feed(welcome, 50)
            eventually(lambda: not known.missing(), ARRIVES_IN_S, "the one does not notice")


def test_where_there_is_no_room_events_are_counted_until_a_reload_makes_some(short_dir: Path):
    """T8: bounds of a person's are moved by a person."""
    with tenants(["one"]) as by_name:
        tenant = by_name["one"]
        tenant.misbehave(Behaviour(status=503))
        with (
            standalone(short_dir, configuration=section(tenant) + "spool_max_bytes = 65536\n") as shipper,
            channel_to(shipper, tenant.application) as channel,
        ):
            tenant.feed(channel, 2_000)
            eventually(lambda: shipper.counters()["received"] == 2_000, ARRIVES_IN_S, "all is taken")
            dropped = shipper.counters()["dropped"]
            assert list(dropped) == ["quota_full"]
            assert "the spool has no room" in " ".join(shipper.status()["reasons"])
            age = shipper.status()["configuration"]["age_seconds"]
            configure(short_dir, section(tenant))
            shipper.reload()
            eventually(
                lambda: shipper.status()["configuration"]["age_seconds"] < age, RELOADS_IN_S, "it is read"
            )
            before = shipper.spooled()
            tenant.feed(channel, 500)
            eventually(lambda: shipper.spooled() == before + 500, ARRIVES_IN_S, "there is room")
            assert shipper.counters()["dropped"] == dropped
            tenant.collector.behave(None)
            eventually(lambda: not shipper.spooled(), 2 * ARRIVES_IN_S, "what was taken is delivered")
            counters = shipper.counters()
            assert counters["difference"] == 0
            assert len(tenant.missing()) == dropped["quota_full"]


def test_a_new_mode_of_the_socket_holds_at_once(short_dir: Path):
    with standalone(short_dir) as shipper:
        assert shipper.socket.stat().st_mode & 0o777 == 0o600
        configure(short_dir, 'socket_mode = "0660"\n')
        shipper.reload()
        eventually(lambda: shipper.socket.stat().st_mode & 0o777 == 0o660, RELOADS_IN_S, "it has the mode")


def _to_nowhere(application: Application) -> Application:
    return replace(application, base_uri="http://127.0.0.1:9")


def _missing(tenant: Tenant, offered: set[str]) -> set[str]:
    return offered - tenant.collector.store.transaction_ids()


def _offered(channel: UnixChannel, count: int) -> set[str]:
    """Without waiting for anybody to take it."""
    offered = set()
    for made, payload in orders(count, seed=7_777):
        channel.offer(Kind.RECORD, 0, payload)
        offered.add(made)
    return offered
