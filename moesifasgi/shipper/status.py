"""The status document, as ``moesif-shipper status --json`` prints it, without what the receiver knows."""

import os
from collections.abc import Mapping
from typing import Any

from moesifasgi.shipper.spool import Spool, Totals, Usage
from moesifasgi.version import VERSION

CONSISTENT_READS = 10
"""Settling takes longer than reading both; a second try is nearly always enough."""


def document(spool: Spool, delivery: Mapping[str, Any], uptime_s: float) -> dict[str, Any]:
    """One JSON object; its names are fixed in README. Ages in seconds, sizes in bytes.

    ``delivery`` is ``Delivery.status()``.
    """
    totals, usage = _books(spool)
    upload = dict(delivery)
    reasons, applications = upload.pop("reasons"), upload.pop("applications")
    return {
        "version": VERSION,
        "pid": os.getpid(),
        "uptime_seconds": round(uptime_s, 3),
        "healthy": not reasons,
        "reasons": reasons,
        "counters": _counters(totals, usage),
        "spool": {
            "events": usage.events,
            "bytes": usage.bytes,
            "max_bytes": usage.max_bytes,
            "oldest_age_seconds": usage.oldest_age_s,
            "dead_letters": usage.dead_letters,
            "durable": spool.durable,
        },
        "upload": upload,
        "applications": applications,
    }


def _books(spool: Spool) -> tuple[Totals, Usage]:
    """Both of one moment: what delivery settles between the two would look like a difference."""
    totals, usage = spool.totals(), spool.usage()
    for _ in range(CONSISTENT_READS):
        if (now := spool.totals()) == totals:
            break
        totals, usage = now, spool.usage()
    return totals, usage


def _counters(totals: Totals, usage: Usage) -> dict[str, Any]:
    """The identity taken = delivered + spooled + dead-lettered + dropped, and what it leaves unexplained."""
    gone = totals.delivered + totals.dead_lettered + sum(totals.dropped.values())
    return {
        "received": totals.taken,
        "delivered": totals.delivered,
        "dead_lettered": totals.dead_lettered,
        "duplicates": totals.duplicates,
        "gaps": totals.gaps,
        "dropped": dict(totals.dropped),
        "difference": totals.taken - gone - usage.events,
    }
