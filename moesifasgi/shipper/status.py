"""The status document, as ``moesif-shipper status --json`` prints it, without what the receiver knows."""

import os
from collections.abc import Mapping
from typing import Any

from moesifasgi.shipper.spool import Spool, Totals, Usage
from moesifasgi.version import VERSION


def document(spool: Spool, delivery: Mapping[str, Any], uptime_s: float) -> dict[str, Any]:
    """One JSON object; its names are fixed in README. Ages in seconds, sizes in bytes.

    ``delivery`` is ``Delivery.status()``.
    """
    totals, usage = spool.totals(), spool.usage()
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
