"""Several applications that share a shipper, each with a collector of its own to be told how to misbehave."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from lab.corpus import orders
from lab.shipper_process import feed
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.inspector import Behaviour, Collector
from moesifasgi.inspector.store import Asked
from moesifasgi.wire.application import Application

EVENTS_PATH = "/v1/events"
BATCH_TIMEOUT_S = 0.1


@dataclass(slots=True)
class Tenant:
    """One application, its collector, and what was offered of it."""

    application: Application
    collector: Collector
    key: int
    """Of its frames, in a channel that has all tenants in their order."""
    offered: set[str] = field(default_factory=set)

    def misbehave(self, behaviour: Behaviour) -> None:
        """Do this to uploads of events."""
        self.collector.behave(replace(behaviour, path_prefix=EVENTS_PATH))

    def feed(self, channel: UnixChannel, count: int) -> None:
        """Offer so many calls more."""
        self.offered |= feed(channel, orders(count, seed=1_000 * self.key + len(self.offered)), self.key)

    def missing(self) -> set[str]:
        """What was offered and has not arrived."""
        return self.offered - self.collector.store.transaction_ids()

    def asked(self) -> list[Asked]:
        """The newest uploads of events with their times, oldest first."""
        return [each for each in self.collector.store.asked() if each.key.startswith(f"POST {EVENTS_PATH}")]


@contextmanager
def tenants(names: Sequence[str]) -> Iterator[dict[str, Tenant]]:
    """One for each name, with its collector running; no two ids end in the same four characters."""
    with ExitStack() as stack:
        yield {name: _tenant(stack.enter_context(Collector()), key) for key, name in enumerate(names)}


def _tenant(collector: Collector, key: int) -> Tenant:
    application_id = f"tenant-{'x' * 50}-{key:04}"
    application = Application(application_id, base_uri=collector.url, batch_timeout_s=BATCH_TIMEOUT_S)
    return Tenant(application, collector, key)
