"""The status document, as ``moesif-shipper status --json`` prints it, without what the receiver knows."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from moesifasgi.shipper.delivery_status import idle_entry
from moesifasgi.shipper.health import Advice, Figures, Reason, duration
from moesifasgi.shipper.health import notes as notes_of
from moesifasgi.shipper.health import reasons as reasons_of
from moesifasgi.shipper.spool import Spool, Totals, Usage
from moesifasgi.version import VERSION
from moesifasgi.wire.application import Application

CONSISTENT_READS = 10
"""Settling takes longer than reading both; a second try is nearly always enough."""


def policies_of(
    known: Mapping[str, dict[str, Any]], parked: Mapping[str, list[str]]
) -> dict[str, dict[str, Any]]:
    """Each application's policy, by its id: what is known here, and what its workers say of enforcing it."""
    return {
        application_id: {**policy, "parked": parked.get(application_id, [])}
        for application_id, policy in known.items()
    }


def document(
    spool: Spool, delivery: Mapping[str, Any], policies: Mapping[str, dict[str, Any]], uptime_s: float
) -> dict[str, Any]:
    """One JSON object; its names are fixed in README. Ages in seconds, sizes in bytes.

    ``delivery`` is ``Delivery.status()``, ``policies`` comes from ``policies_of``.
    """
    totals, usage = _books(spool)
    upload = dict(delivery)
    applications = _by_label(upload.pop("applications"), policies)
    figures = _figures(usage, upload.pop("patience_seconds"), upload["last_success_age_seconds"])
    reasons: list[Reason] = [*upload.pop("reasons"), *reasons_of(figures)]
    if usage.fault:
        reasons.append(Reason(f"the spool cannot be read: {usage.fault}", Advice.DISK))
    notes = [
        *notes_of(figures, is_failing=bool(reasons)),
        *_mishaps(usage),
        *_notes_of_policies(applications),
    ]
    return {
        "version": VERSION,
        "pid": os.getpid(),
        "uptime_seconds": round(uptime_s, 3),
        "healthy": not reasons,
        "reasons": [reason.what for reason in reasons],
        "advice": [reason.advice.value for reason in reasons],
        "notes": [str(note) for note in notes],
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


def _by_label(
    deliveries: Mapping[str, dict[str, Any]], policies: Mapping[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """All that is known of each application; those that end in the same four characters get marks behind."""
    labelled: dict[str, dict[str, Any]] = {}
    for application_id in dict.fromkeys([*deliveries, *policies]):
        label = Application(application_id).label
        while label in labelled:
            label += "'"
        delivery = deliveries.get(application_id) or idle_entry()
        labelled[label] = {**delivery, "policy": policies.get(application_id)}
    return labelled


def _figures(usage: Usage, patience_s: float, last_success_age_s: float | None) -> Figures:
    return Figures(
        events=usage.events,
        bytes=usage.bytes,
        max_bytes=usage.max_bytes,
        dead_letters=usage.dead_letters,
        oldest_age_s=usage.oldest_age_s,
        last_success_age_s=last_success_age_s,
        patience_s=patience_s,
    )


def _mishaps(usage: Usage) -> Iterator[str]:
    """What happened to the spool since the start: it works again, and a restart would mend nothing."""
    yield from map(str, usage.mishaps)
    if usage.waiting:
        yield f"{usage.waiting} events are still to be read of damaged files, as there is room for them"
    if usage.damaged:
        yield f"{usage.damaged} events were dropped: their rows in the spool were damaged"


def _notes_of_policies(applications: Mapping[str, dict[str, Any]]) -> Iterator[Reason | str]:
    for label, entry in applications.items():
        if entry["policy"] is not None:
            yield from _notes(label, entry["policy"])


def _notes(label: str, policy: Mapping[str, Any]) -> Iterator[Reason | str]:
    """What a person should know of a policy, though events arrive and nothing fails because of it."""
    if policy["state"] != "ok":
        age_s = policy["age_seconds"]
        age = "" if age_s is None else f", checked {duration(age_s)} ago"
        yield Reason(f"the policy of {label} is {policy['state']}{age}", Advice.POLICY)
    for what in ("faults", "parked"):
        if policy[what]:
            yield f"the policy of {label}: {len(policy[what])} {what}: {policy[what][0]}"


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
