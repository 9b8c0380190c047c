"""The status document: what ``moesif-shipper status --json`` prints, but for what the receiver knows of peers."""

import os
from collections import Counter
from collections.abc import Mapping
from typing import Any

from moesifasgi.shipper.spool import Spool, Totals, Usage
from moesifasgi.version import VERSION


def document(spool: Spool, applications: Mapping[str, Mapping[str, Any]], uptime_s: float) -> dict[str, Any]:
    """One JSON object; its names are fixed in README. Ages in seconds, sizes in bytes.

    ``applications`` is ``Delivery.status()``: how delivery goes, by the application's label.
    """
    totals, usage = spool.totals(), spool.usage()
    reasons = [
        f"application {label} is {entry['state']}: {entry['reason']}"
        for label, entry in applications.items()
        if entry["reason"]
    ]
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
        "upload": _upload(list(applications.values())),
        "applications": {label: dict(entry) for label, entry in applications.items()},
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


def _upload(entries: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Uploads of all applications together."""
    requests: Counter[str] = Counter()
    for entry in entries:
        requests.update(entry["requests"])
    ages = [entry["last_success_age_s"] for entry in entries if entry["last_success_age_s"] is not None]
    waits = [entry["next_attempt_in_s"] for entry in entries if entry["next_attempt_in_s"] is not None]
    return {
        "requests": dict(requests),
        "retries": sum(entry["retries"] for entry in entries),
        "in_flight": sum(entry["in_flight"] for entry in entries),
        "last_success_age_seconds": min(ages, default=None),
        "next_attempt_in_seconds": min(waits, default=None),
    }
