"""The books of what must become of every event, kept by who knows only what a person can know from outside:
what was captured, what was killed and had left the killed ones by then, and what the collector has.
"""

from collections.abc import Iterable
from itertools import pairwise

from lab.homes import Home
from lab.scripted_uploads import ScriptedUploads


class Books:
    """Events by their ids."""

    def __init__(self) -> None:
        self.captured: set[str] = set()
        """Accepted by a worker's ring."""
        self.excused: set[str] = set()
        """What died with a worker's ring, or with a spool that was deleted."""
        self.orphans: set[str] = set()
        """What had left a worker that was killed then, and is in no spool yet."""
        self.reasons: set[str] = {"spool_full", "quota_full"}
        """For which the history gave cause."""
        self.updates: dict[str, tuple[bytes, int, int]] = {}
        """Session, application and sequence of users' updates."""
        self.ordered = True
        """The history gave no cause for updates in another order."""
        self._counted = 0

    def kill_worker(self, kept: set[str], sent: set[str]) -> None:
        """Its ring ``kept`` what nobody had acknowledged; ``sent`` is what its last connection had taken."""
        self.orphans |= kept & sent
        self.excused |= kept - sent

    def kill_shipper(self, home: Home) -> None:
        """What it had read and not stored is nowhere, unless its worker lives."""
        home.look()
        self.excused |= self.orphans - home.ids
        self.orphans.clear()

    def wipe(self, home: Home) -> None:
        """A spool is deleted with what it holds, and with its books."""
        self.excused |= home.ids
        self._counted += home.counted

    def check_now(self, home: Home, worker_differences: Iterable[int]) -> None:
        """What must be so after each step: both identities, nothing stored twice, no loss without a cause."""
        home.look()
        assert not any(worker_differences)
        assert not home.difference
        assert set(home.spool.totals().dropped) <= self.reasons

    def check_end(self, homes: Iterable[Home], uploads: ScriptedUploads) -> None:
        """What must be so when all is done: each event has arrived, was counted, or died with its holder."""
        counted = self._counted + sum(home.counted for home in homes)
        delivered = {item["transaction_id"] for _, item in uploads.taken}
        missing = self.captured - delivered - self.excused
        assert len(missing) <= counted, f"{sorted(missing)} lost, {counted} counted"
        assert delivered <= self.captured, "nobody captured this"
        self._check_order(uploads)

    def _check_order(self, uploads: ScriptedUploads) -> None:
        """The collector's last word on a user is the newest, where nothing in the history speaks against."""
        # What is uploaded again after a kill may lose its last part before that is uploaded again too.
        if not self.ordered or uploads.contradicted or self.reasons & {"expired", "damaged"}:
            return
        last = {item["transaction_id"]: place for place, (_, item) in enumerate(uploads.taken)}
        updates = sorted((made for made in self.updates if made in last), key=self.updates.__getitem__)
        for one, next_one in pairwise(updates):
            of_one_worker = self.updates[one][:2] == self.updates[next_one][:2]
            assert last[one] < last[next_one] or not of_one_worker, "out of order"
