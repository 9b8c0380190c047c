"""What a person is told of events that are dropped here, since nobody else sees them go."""

from collections.abc import Sequence

from moesifasgi.quiet import say
from moesifasgi.shipper.spool import Settlement


def tell_expired(settlements: Sequence[Settlement]) -> None:
    """One line a minute, at most."""
    if expired := sum(settlement.dropped.get("expired", 0) for settlement in settlements):
        say("expired", "%d events were dropped: they waited for longer than Moesif takes them", expired)


def tell_damaged(events: int) -> None:
    say("damaged rows", "%d events were dropped: their rows in the spool were damaged", events)
