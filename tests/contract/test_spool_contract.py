"""What every spool promises, on each of them; and one long random history against a plain Python model."""

import itertools
import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from moesifasgi.shipper.spool import (
    Chunk,
    DeadLetter,
    Item,
    Lane,
    Limits,
    Settlement,
    SpoolError,
    StoredChunk,
)
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.shipper.spool.rows import chunk_of
from moesifasgi.shipper.spool.sqlite import SqliteSpool, open_spool
from moesifasgi.wire.application import Application

AnySpool = MemorySpool | SqliteSpool
EVENTS = Lane("application-one", "events")
USERS = Lane("application-one", "users")
OTHER = Lane("application-two", "events")
SESSION = b"s" * 16


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def a_chunk(
    first: int = 1, count: int = 3, lane: Lane = EVENTS, session: bytes = SESSION, size: int = 20
) -> Chunk:
    sequences = tuple(range(first, first + count))
    items = tuple(Item(0, random.Random(f"{session!r}{sequence}").randbytes(size)) for sequence in sequences)
    return Chunk(lane, session, sequences, items)


def delivered(chunk: StoredChunk) -> Settlement:
    return Settlement(chunk.row, len(chunk.items))


def assert_conserved(spool: AnySpool) -> None:
    totals = spool.totals()
    fates = totals.delivered + totals.dead_lettered + sum(totals.dropped.values())
    assert totals.taken == fates + spool.usage().events


Opener = Callable[..., AnySpool]


@pytest.fixture(params=["sqlite", "memory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    spools: list[AnySpool] = []

    def opener(max_bytes: int = 10_000_000, clock: Clock | None = None, **more: int) -> AnySpool:
        clock = clock or Clock()
        if request.param == "memory":
            spools.append(MemorySpool(max_bytes, clock=clock, **more))
        else:
            spools.append(
                open_spool(
                    tmp_path,
                    max_bytes=max_bytes,
                    min_free_bytes=0,
                    durability="normal",
                    clock=clock,
                    **more,
                )
            )
        return spools[-1]

    yield opener
    for spool in spools:
        with suppress(SpoolError):  # The test closed it.
            assert_conserved(spool)
        spool.close()


def test_what_was_appended_is_peeked_as_it_was(opened: Opener) -> None:
    spool = opened()
    chunk = Chunk(EVENTS, SESSION, (4, 5, 9, 2**62), tuple(Item(k, bytes([k]) * k) for k in range(4)))
    assert spool.append([chunk], {SESSION: 2**62}) == 0
    (stored,) = spool.peek(EVENTS, 0, 100)
    assert (stored.session, stored.sequences, stored.items) == (SESSION, chunk.sequences, chunk.items)
    assert stored.appended_at == 1_700_000_000.0


def test_a_peek_changes_nothing(opened: Opener) -> None:
    spool = opened()
    spool.append([a_chunk()], {SESSION: 3})
    assert spool.peek(EVENTS, 0, 10) == spool.peek(EVENTS, 0, 10) != []


def test_chunks_come_out_in_the_order_they_came_in(opened: Opener) -> None:
    spool = opened()
    for first in (1, 4, 7):
        spool.append([a_chunk(first)], {SESSION: first + 2})
    rows = spool.peek(EVENTS, 0, 100)
    assert [chunk.sequences[0] for chunk in rows] == [1, 4, 7]
    assert [chunk.row for chunk in rows] == sorted(chunk.row for chunk in rows)
    assert spool.peek(EVENTS, rows[0].row, 100) == rows[1:]


def test_a_peek_ends_with_the_chunk_that_reaches_the_bytes(opened: Opener) -> None:
    spool = opened()
    for first in range(1, 50, 10):
        spool.append([a_chunk(first, 10, size=1_000)], {SESSION: first + 9})
    assert [len(spool.peek(EVENTS, 0, 1_000, max_bytes=limit)) for limit in (1, 10_000, 25_000)] == [1, 1, 3]


def test_reading_ends_at_the_row_that_was_named(opened: Opener) -> None:
    spool = opened()
    for first in range(1, 50, 10):
        spool.append([a_chunk(first, 10)], {SESSION: first + 9})
    rows = spool.peek(EVENTS, 0, 100)
    assert spool.newest_row() == rows[-1].row
    assert spool.peek(EVENTS, rows[0].row, 100, rows[2].row) == rows[1:3]
    assert spool.peek(EVENTS, rows[2].row, 100, rows[2].row) == []
    spool.settle([delivered(chunk) for chunk in rows])
    assert spool.newest_row() == rows[-1].row, "a settled row's number is not given out again"


@pytest.mark.parametrize(("max_items", "chunks"), [(1, 1), (3, 1), (4, 2), (6, 2), (7, 3), (100, 3)])
def test_a_peek_ends_with_the_chunk_that_reaches_the_limit(
    opened: Opener, max_items: int, chunks: int
) -> None:
    spool = opened()
    spool.append([a_chunk(1), a_chunk(4), a_chunk(7)], {SESSION: 9})
    assert len(spool.peek(EVENTS, 0, max_items)) == chunks


def test_lanes_do_not_see_each_other(opened: Opener) -> None:
    spool = opened()
    spool.append([a_chunk(1), a_chunk(4, lane=USERS), a_chunk(7, lane=OTHER)], {SESSION: 9})
    assert set(spool.lanes()) == {EVENTS, USERS, OTHER}
    for lane, first in ((EVENTS, 1), (USERS, 4), (OTHER, 7)):
        (chunk,) = spool.peek(lane, 0, 100)
        assert chunk.sequences[0] == first
        spool.settle([delivered(chunk)])
    assert spool.lanes() == []


def test_only_a_settlement_removes_a_chunk_and_counts_its_items(opened: Opener) -> None:
    spool = opened()
    spool.append([a_chunk(1, 4), a_chunk(5)], {SESSION: 7})
    first, second = spool.peek(EVENTS, 0, 100)
    letter = DeadLetter(SESSION, 2, 0, b"payload", "400", "no uri")
    spool.settle([Settlement(first.row, 2, (letter,), {"expired": 1})])
    assert spool.peek(EVENTS, 0, 100) == [second]
    totals = spool.totals()
    assert (totals.taken, totals.delivered, totals.dead_lettered) == (7, 2, 1)
    assert totals.dropped == {"expired": 1}
    assert (spool.usage().events, spool.usage().dead_letters) == (3, 1)


def test_settling_again_or_a_row_that_never_was_changes_nothing(opened: Opener) -> None:
    spool = opened()
    spool.append([a_chunk()], {SESSION: 3})
    (chunk,) = spool.peek(EVENTS, 0, 100)
    spool.settle([delivered(chunk)])
    before = spool.totals()
    spool.settle([delivered(chunk), Settlement(999, 3)])
    assert spool.totals() == before


def test_a_settlement_that_forgets_an_item_is_refused_as_a_whole(opened: Opener) -> None:
    spool = opened()
    spool.append([a_chunk(1), a_chunk(4)], {SESSION: 6})
    first, second = spool.peek(EVENTS, 0, 100)
    with pytest.raises(ValueError, match="3 items, but 2 fates"):
        spool.settle([delivered(first), Settlement(second.row, 2)])
    assert spool.peek(EVENTS, 0, 100) == [first, second]
    assert spool.totals().delivered == 0


@pytest.mark.parametrize(
    ("sequences", "count"),
    [((), 0), ((1,), 2), ((2, 1), 2), ((1, 1), 2)],
    ids=["empty", "too few", "descending", "twice"],
)
def test_a_chunk_without_one_ascending_sequence_for_each_item_is_refused(
    opened: Opener, sequences: tuple[int, ...], count: int
) -> None:
    spool = opened()
    with pytest.raises(ValueError, match="ascending"):
        spool.append([Chunk(EVENTS, SESSION, sequences, (Item(0, b"x"),) * count)], {SESSION: 2})
    assert spool.last_sequence(SESSION) is None


def test_a_row_number_is_never_used_again(opened: Opener) -> None:
    spool = opened()
    spool.append([a_chunk(1)], {SESSION: 3})
    (first,) = spool.peek(EVENTS, 0, 100)
    spool.settle([delivered(first)])
    spool.append([a_chunk(4)], {SESSION: 6})
    assert spool.peek(EVENTS, first.row, 100) != []


def test_sessions_are_remembered_until_they_end(opened: Opener) -> None:
    spool = opened()
    assert spool.last_sequence(SESSION) is None
    spool.append([a_chunk(1)], {SESSION: 3})
    spool.append([], {SESSION: 5, b"t" * 16: 9})
    assert (spool.last_sequence(SESSION), spool.last_sequence(b"t" * 16)) == (5, 9)
    spool.end_session(SESSION)
    spool.end_session(SESSION)
    assert (spool.last_sequence(SESSION), spool.last_sequence(b"t" * 16)) == (None, 9)


def test_old_sessions_are_forgotten_except_those_kept(opened: Opener) -> None:
    clock = Clock()
    spool = opened(clock=clock)
    old, connected, fresh = b"o" * 16, b"c" * 16, b"f" * 16
    spool.append([], {old: 1, connected: 2})
    clock.now += 90_000
    spool.append([], {fresh: 3})
    assert spool.forget_sessions(86_400, frozenset([connected])) == 1
    assert [spool.last_sequence(one) for one in (old, connected, fresh)] == [None, 2, 3]


def test_a_full_spool_drops_the_newest_counts_it_and_takes_responsibility(opened: Opener) -> None:
    spool = opened(max_bytes=5_000)
    assert spool.append([a_chunk(1, 2, size=2_000)], {SESSION: 2}) == 0
    assert spool.append([a_chunk(3, 2, size=2_000), a_chunk(5, 1, size=10)], {SESSION: 5}) == 2
    assert spool.last_sequence(SESSION) == 5
    assert spool.totals().dropped == {"spool_full": 2}
    assert [chunk.sequences for chunk in spool.peek(EVENTS, 0, 100)] == [(1, 2), (5,)]
    assert spool.usage().bytes <= spool.usage().max_bytes == 5_000
    spool.settle([delivered(chunk) for chunk in spool.peek(EVENTS, 0, 100)])
    assert spool.usage().bytes == 0
    assert spool.append([a_chunk(6, 2, size=2_000)], {SESSION: 7}) == 0


def test_a_single_application_has_the_whole_spool(opened: Opener) -> None:
    spool = opened(max_bytes=10_000)
    assert spool.append([a_chunk(n, 1, size=940) for n in range(1, 11)], {SESSION: 10}) == 0
    assert spool.usage().bytes > 9_000


def test_a_parked_application_leaves_room_for_the_others(opened: Opener) -> None:
    spool = opened(max_bytes=10_000)
    for application_id in (EVENTS.application_id, OTHER.application_id):
        spool.remember(Application(application_id))
    dropped = spool.append([a_chunk(n, 1, size=940) for n in range(1, 11)], {SESSION: 10})
    assert 2 <= dropped <= 3
    assert spool.totals().dropped == {"quota_full": dropped}
    assert spool.append([a_chunk(11, 1, OTHER, size=940)], {SESSION: 11}) == 0


def test_usage_tells_the_age_of_the_oldest_chunk(opened: Opener) -> None:
    clock = Clock()
    spool = opened(clock=clock)
    assert spool.usage().oldest_age_s is None
    spool.append([a_chunk(1)], {SESSION: 3})
    clock.now += 7
    spool.append([a_chunk(4)], {SESSION: 6})
    assert spool.usage().oldest_age_s == 7
    spool.settle([delivered(spool.peek(EVENTS, 0, 1)[0])])
    assert spool.usage().oldest_age_s == 0
    clock.now -= 86_400
    assert spool.usage().oldest_age_s == 0


def test_duplicates_and_gaps_are_counted_beside_the_identity(opened: Opener) -> None:
    spool = opened()
    spool.append([a_chunk()], {SESSION: 9}, duplicates=4, gaps=6)
    assert (spool.totals().duplicates, spool.totals().gaps, spool.totals().taken) == (4, 6, 3)


def test_policies_are_remembered_as_they_were_last_told(opened: Opener) -> None:
    spool = opened()
    assert spool.policies() == {}
    spool.remember_policy("application-one", b"older")
    spool.remember_policy("application-one", b"newest" * 100_000)
    spool.remember_policy("application-two", b"")
    assert spool.policies() == {"application-one": b"newest" * 100_000, "application-two": b""}


def test_applications_are_remembered_as_they_were_last_told(opened: Opener) -> None:
    spool = opened()
    spool.remember(Application("application-one", batch_size=7, ca_bundle="/etc/ca.pem"))
    newest = Application("application-one", batch_size=8, http_proxy="http://proxy:1")
    spool.remember(newest)
    spool.remember(Application("application-two"))
    assert spool.applications() == [newest, Application("application-two")]


def test_dead_letters_are_kept_once_with_whose_they_are_and_can_be_discarded(opened: Opener) -> None:
    spool = opened()
    spool.append([a_chunk(1), a_chunk(4)], {SESSION: 6})
    first, second = spool.peek(EVENTS, 0, 100)
    letter = DeadLetter(SESSION, 2, 1, b"payload" * 50, "413", "too large")
    quoting = DeadLetter(SESSION, 3, 0, b"", "unserialisable", "lone \ud800")
    spool.settle([Settlement(first.row, 1, (letter, quoting))])
    spool.settle([Settlement(second.row, 2, (letter,))])
    kept = spool.dead_letters(10)
    assert [one.letter.sequence for one in kept] == [2, 3]
    assert (kept[0].letter, kept[0].lane, kept[0].refused_at) == (letter, EVENTS, 1_700_000_000.0)
    assert spool.dead_letters(1) == kept[:1]
    assert spool.discard_dead_letters([(SESSION, 2), (SESSION, 99)]) == 1
    assert spool.usage().dead_letters == 1
    assert (spool.totals().dead_lettered, spool.totals().dropped) == (2, {"discarded": 1})
    assert_conserved(spool)


def test_a_dead_letter_that_is_retried_is_in_the_spool_again_as_it_came_behind_all_others(
    opened: Opener,
) -> None:
    spool = opened()
    spool.append([a_chunk(1), a_chunk(4)], {SESSION: 6})
    first, second = spool.peek(EVENTS, 0, 100)
    letter = DeadLetter(SESSION, 2, 1, b"payload" * 50, "400", "no")
    spool.settle([Settlement(first.row, 2, (letter,))])
    assert spool.dead_letter((SESSION, 2)) == spool.dead_letters(1)[0]
    assert spool.dead_letter((SESSION, 3)) is None

    assert spool.retry_dead_letters([(SESSION, 2), (SESSION, 2), (SESSION, 99)]) == 1

    _, retried = spool.peek(EVENTS, 0, 100)
    assert (retried.session, retried.sequences) == (SESSION, (2,))
    assert retried.items == (Item(1, b"payload" * 50),)
    assert spool.newest_row() == retried.row > second.row
    assert (spool.usage().dead_letters, spool.totals().dead_lettered) == (0, 0)
    assert_conserved(spool)
    spool.append([a_chunk(7)], {SESSION: 9})
    assert [chunk.sequences[0] for chunk in spool.peek(EVENTS, 0, 100)] == [4, 2, 7]


def test_a_retry_for_which_there_is_no_room_changes_nothing(opened: Opener) -> None:
    spool = opened()
    spool.append([a_chunk(1)], {SESSION: 3})
    (chunk,) = spool.peek(EVENTS, 0, 100)
    letters = tuple(DeadLetter(SESSION, n, 1, os.urandom(2_000), "400", "no") for n in (1, 2))
    spool.settle([Settlement(chunk.row, 1, letters)])
    spool.limit(Limits(max_bytes=3_000, min_free_bytes=0))
    before = spool.totals(), spool.dead_letters(10), spool.newest_row()
    with pytest.raises(SpoolError, match="no room for 2 dead letters: spool_full"):
        spool.retry_dead_letters([(SESSION, 1), (SESSION, 2)])
    assert (spool.totals(), spool.dead_letters(10), spool.newest_row()) == before
    assert_conserved(spool)


def test_dead_letters_are_read_page_by_page(opened: Opener) -> None:
    spool = opened()
    spool.append([a_chunk(1, 5)], {SESSION: 5})
    (chunk,) = spool.peek(EVENTS, 0, 100)
    letters = tuple(DeadLetter(SESSION, n, 0, b"x", "400", "") for n in range(1, 6))
    spool.settle([Settlement(chunk.row, 0, letters)])
    first = spool.dead_letters(2)
    spool.discard_dead_letters([first[-1].key])
    second = spool.dead_letters(2, first[-1].number)
    assert [kept.letter.sequence for kept in (*first, *second)] == [1, 2, 3, 4]


def test_new_limits_hold_at_once_and_an_application_stays_within_its_quota(opened: Opener) -> None:
    spool = opened()
    big = tuple(Item(0, os.urandom(1_000)) for _ in range(3))

    def dropped() -> int:
        spool.append([Chunk(EVENTS, SESSION, (1, 2, 3), big)], {SESSION: 3})
        return spool.totals().dropped.get("quota_full", 0)

    assert dropped() == 0
    spool.limit(Limits(max_bytes=10**6, min_free_bytes=0, quotas={EVENTS.application_id: 5_000}))
    assert dropped() == 3
    spool.limit(Limits(max_bytes=10**6, min_free_bytes=0, quotas={"another": 5_000}))
    assert dropped() == 3
    assert_conserved(spool)


def test_the_oldest_dead_letters_go_when_there_are_too_many(opened: Opener) -> None:
    spool = opened(max_dead_letters=3)
    spool.append([a_chunk(1, 5)], {SESSION: 5})
    (chunk,) = spool.peek(EVENTS, 0, 100)
    letters = tuple(DeadLetter(SESSION, n, 0, b"x", "400", "") for n in range(1, 6))
    spool.settle([Settlement(chunk.row, 0, letters)])
    assert [kept.letter.sequence for kept in spool.dead_letters(10)] == [3, 4, 5]
    assert (spool.usage().dead_letters, spool.totals().dead_lettered) == (3, 5)


def test_dead_letters_take_at_most_a_tenth_of_the_spools_bytes(opened: Opener) -> None:
    spool = opened(max_bytes=100_000)
    for number in range(1, 6):
        spool.append([a_chunk(number, 1)], {SESSION: number})
        (chunk,) = spool.peek(EVENTS, 0, 1)
        letter = DeadLetter(SESSION, number, 0, os.urandom(4_000), "400", "")
        spool.settle([Settlement(chunk.row, 0, (letter,))])
    assert [kept.letter.sequence for kept in spool.dead_letters(10)] == [4, 5]
    spool.discard_dead_letters([(SESSION, 4), (SESSION, 5)])
    spool.append([a_chunk(6, 1)], {SESSION: 6})
    (chunk,) = spool.peek(EVENTS, 0, 1)
    spool.settle([Settlement(chunk.row, 0, (DeadLetter(SESSION, 6, 0, bytes(4_000), "400", ""),))])
    assert [kept.letter.sequence for kept in spool.dead_letters(10)] == [6]


def test_an_application_that_is_forgotten_leaves_neither_settings_nor_policy(opened: Opener) -> None:
    spool = opened()
    for application_id in ("application-one", "application-two"):
        spool.remember(Application(application_id))
        spool.remember_policy(application_id, b"policy")
    spool.forget("application-one")
    spool.forget("application-three")
    assert spool.applications() == [Application("application-two")]
    assert spool.policies() == {"application-two": b"policy"}


def test_a_closed_spool_may_be_closed_again_and_refuses_the_rest(opened: Opener) -> None:
    spool = opened()
    spool.close()
    spool.close()
    with pytest.raises(SpoolError, match="closed"):
        spool.append([a_chunk()], {SESSION: 3})
    with pytest.raises(SpoolError, match="closed"):
        spool.peek(EVENTS, 0, 1)


SESSIONS = [b"a" * 16, b"b" * 16]
LANES = [EVENTS, USERS, OTHER]


class History(RuleBasedStateMachine):
    """Appends, fates, restarts: after each step the spool and a list of chunks say the same (T18)."""

    durable = False

    def __init__(self) -> None:
        super().__init__()
        self.chunks: list[Chunk] = []
        self.last: dict[bytes, int] = {}
        self.fates: Counter[str] = Counter()
        self.directory = tempfile.TemporaryDirectory()
        self.spool = self.opened()

    def opened(self) -> AnySpool:
        if not self.durable:
            return MemorySpool(30_000)
        directory = Path(self.directory.name)
        return open_spool(directory, max_bytes=30_000, min_free_bytes=0, durability="normal")

    @rule(
        counts=st.lists(st.tuples(st.sampled_from(LANES), st.integers(1, 5)), max_size=4),
        session=st.sampled_from(SESSIONS),
        size=st.sampled_from([0, 10, 3_000]),
        gap=st.integers(0, 2),
    )
    def append(self, counts: list[tuple[Lane, int]], session: bytes, size: int, gap: int) -> None:
        last, chunks = self.last.get(session, 0), []
        for lane, count in counts:
            chunks.append(a_chunk(last + gap + 1, count, lane, session, size))
            last = chunks[-1].sequences[-1]
        before = self.spool.usage().events
        dropped = self.spool.append(chunks, {session: last}, gaps=gap)
        taken = sum(len(chunk.items) for chunk in chunks)
        assert self.spool.usage().events == before + taken - dropped
        self.fates.update(taken=taken, dropped=dropped, gaps=gap)
        self.last[session] = last
        self.chunks += self._stored(chunks) if dropped else chunks

    def _stored(self, chunks: list[Chunk]) -> list[Chunk]:
        there = {(chunk.session, chunk.sequences) for lane in LANES for chunk in self.peeked(lane)}
        return [chunk for chunk in chunks if (chunk.session, chunk.sequences) in there]

    def peeked(self, lane: Lane) -> list[StoredChunk]:
        return self.spool.peek(lane, 0, 1_000_000)

    @precondition(lambda self: self.chunks)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        lane = data.draw(st.sampled_from(sorted({chunk.lane for chunk in self.chunks})))
        chunk = data.draw(st.sampled_from(self.peeked(lane)))
        dead = data.draw(st.integers(0, len(chunk.items)))
        late = data.draw(st.integers(0, len(chunk.items) - dead))
        letters = tuple(
            DeadLetter(chunk.session, sequence, item.kind, b"", "400", "refused")
            for sequence, item in itertools.islice(zip(chunk.sequences, chunk.items, strict=True), dead)
        )
        rest = len(chunk.items) - dead - late
        self.spool.settle([Settlement(chunk.row, rest, letters, {"expired": late})])
        self.fates.update(delivered=rest, dead=dead, dropped=late)
        self.chunks = [
            one for one in self.chunks if (one.session, one.sequences) != (chunk.session, chunk.sequences)
        ]

    @rule(data=st.data(), retry=st.booleans())
    def decide_on_dead_letters(self, data: st.DataObject, retry: bool) -> None:
        kept = self.spool.dead_letters(1000)
        if not kept:
            return
        chosen = data.draw(st.lists(st.sampled_from(kept), unique_by=lambda letter: letter.key))
        keys = [letter.key for letter in chosen]
        if retry:
            with suppress(SpoolError):  # There may be no room: then nothing has changed.
                assert self.spool.retry_dead_letters(keys) == len(keys)
                self.chunks += map(chunk_of, chosen)
                self.fates["dead"] -= len(keys)
        else:
            assert self.spool.discard_dead_letters(keys) == len(keys)
            self.fates.update(dead=-len(keys), dropped=len(keys))

    @rule(session=st.sampled_from(SESSIONS))
    def end(self, session: bytes) -> None:
        self.spool.end_session(session)
        assert self.spool.last_sequence(session) is None
        # A worker's sequences never start again within a session, so the model goes on counting.
        self.spool.append([], {session: self.last.get(session, 0)})
        self.last.setdefault(session, 0)

    @precondition(lambda self: self.durable)
    @rule()
    def restart(self) -> None:
        self.spool.close()
        self.spool = self.opened()

    @invariant()
    def both_hold_the_same(self) -> None:
        for lane in LANES:
            stored = [(chunk.session, chunk.sequences, chunk.items) for chunk in self.peeked(lane)]
            expected = [
                (chunk.session, chunk.sequences, chunk.items) for chunk in self.chunks if chunk.lane == lane
            ]
            assert stored == expected
        assert set(self.spool.lanes()) == {chunk.lane for chunk in self.chunks}

    @invariant()
    def the_books_agree(self) -> None:
        assert_conserved(self.spool)
        totals, usage = self.spool.totals(), self.spool.usage()
        assert usage.events == sum(len(chunk.items) for chunk in self.chunks)
        assert usage.bytes <= usage.max_bytes
        assert (totals.taken, totals.delivered, totals.dead_lettered, totals.gaps) == (
            self.fates["taken"],
            self.fates["delivered"],
            self.fates["dead"],
            self.fates["gaps"],
        )
        assert sum(totals.dropped.values()) == self.fates["dropped"]
        assert usage.dead_letters == self.fates["dead"]
        assert {one: self.spool.last_sequence(one) for one in self.last} == self.last

    def teardown(self) -> None:
        self.spool.close()
        self.directory.cleanup()


class DurableHistory(History):
    durable = True


_settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestMemoryHistory = History.TestCase
TestMemoryHistory.settings = _settings
TestSqliteHistory = DurableHistory.TestCase
TestSqliteHistory.settings = _settings
