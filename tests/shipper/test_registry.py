"""Which applications a shipper knows, over restarts and within a bound."""

from pathlib import Path

import pytest

from moesifasgi.shipper.overrides import Overrides
from moesifasgi.shipper.registry import Registry, RegistryFull
from moesifasgi.shipper.spool import Chunk, Item, Lane, Settlement, SpoolError
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.shipper.spool.sqlite import open_spool
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Kind


def append(spool: MemorySpool, application_id: str, sequence: int) -> None:
    item = Item(Kind.EVENT, b"\x80")
    spool.append([Chunk(Lane(application_id, "events"), b"s" * 16, (sequence,), (item,))], {})


def known(registry: Registry) -> list[str]:
    return [application.application_id for application in registry.all()]


def test_the_newest_hello_counts_and_a_standalone_shippers_own_address_wins() -> None:
    registry = Registry(MemorySpool(), Overrides({"base_uri": "https://own.example"}))
    registry.learn(Application("a", "https://one.example", batch_size=1))
    registry.learn(Application("a", "https://two.example", batch_size=2))
    assert registry.all() == [Application("a", "https://own.example", batch_size=2)]


def test_what_a_dead_worker_said_counts_only_where_nobody_else_has_spoken() -> None:
    spool, learned = MemorySpool(), list[Application]()
    registry = Registry(spool, max_applications=1)
    registry.watch(learned.append)
    now, before = Application("a", "https://now.example"), Application("a", "https://before.example")

    for application, bequeathed, expected in ((before, True, before), (now, False, now), (before, True, now)):
        registry.learn(application, bequeathed=bequeathed)
        assert registry.all() == spool.applications() == [expected]

    assert learned == [before, now]


def test_an_application_that_a_dead_worker_names_is_not_forgotten_before_its_events_come() -> None:
    registry = Registry(MemorySpool(), max_applications=1)
    registry.learn(Application("a"))
    registry.connected(frozenset())
    registry.learn(Application("a"), bequeathed=True)
    with pytest.raises(RegistryFull):
        registry.learn(Application("b"))


def test_above_its_bound_the_oldest_that_has_neither_workers_nor_events_is_forgotten() -> None:
    spool, gone = MemorySpool(), list[str]()
    registry = Registry(spool, max_applications=3)
    registry.watch(lambda _: None, gone.append)
    for application_id in ("holding", "connected", "idle"):
        registry.learn(Application(application_id))
        spool.remember_policy(application_id, b"policy")
    append(spool, "holding", 1)
    registry.connected(frozenset({"connected"}))

    registry.learn(Application("new"))

    assert (known(registry), gone) == (["holding", "connected", "new"], ["idle"])
    assert [application.application_id for application in spool.applications()] == known(registry)
    assert "idle" not in spool.policies()


def test_if_none_can_be_forgotten_a_new_one_is_refused_and_known_ones_are_served() -> None:
    spool = MemorySpool()
    registry = Registry(spool, max_applications=2)
    for application_id in ("a", "b"):
        registry.learn(Application(application_id))
    append(spool, "a", 1)
    with pytest.raises(RegistryFull, match="at most 2 applications"):
        registry.learn(Application("c"))
    registry.learn(Application("a", batch_size=7))
    assert registry.get("a") == Application("a", batch_size=7)

    registry.connected(frozenset())
    (chunk,) = spool.peek(Lane("a", "events"), 0, 1)
    spool.settle([Settlement(chunk.row, 1)])
    registry.learn(Application("c"))
    assert known(registry) == ["b", "c"]


def test_what_was_learned_is_known_after_a_restart(tmp_path: Path) -> None:
    for expected in ([], [Application("a", batch_size=3)]):
        spool = open_spool(tmp_path, max_bytes=1 << 20, min_free_bytes=0, durability="normal")
        registry = Registry(spool)
        assert registry.all() == expected
        registry.learn(Application("a", batch_size=3))
        spool.close()


class Refusing(MemorySpool):
    """Stores no settings while it is told so: a full disk."""

    refuses = True

    def remember(self, application: Application) -> None:
        if self.refuses:
            raise SpoolError("no space left on device")
        super().remember(application)


def test_what_the_spool_could_not_store_it_is_given_again_with_the_next_hello() -> None:
    spool = Refusing()
    registry = Registry(spool)
    registry.learn(Application("a"))
    assert registry.get("a") == Application("a")
    spool.refuses = False
    registry.learn(Application("a"))
    assert spool.applications() == [Application("a")]
