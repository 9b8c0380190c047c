"""The status document in words, for people. Pure."""

from collections.abc import Iterator
from typing import Any

from moesifasgi.shipper.health import duration

MAX_FAULT_LINES = 10
"""Of an application's policy."""


def in_words(found: dict[str, Any]) -> str:
    counters, spool = found["counters"], found["spool"]
    lines = [
        f"{'healthy' if found['healthy'] else 'UNHEALTHY'}: shipper {found['version']}, pid {found['pid']},"
        f" up {found['uptime_seconds']:.0f} s, {len(found['workers'])} workers",
        *_reasons(found),
        *(f"  - {note}" for note in found["notes"]),
        f"  {_arrival(found)}",
        f"  received {counters['received']}, delivered {counters['delivered']},"
        f" in the spool {spool['events']} ({spool['bytes']} bytes),"
        f" dead letters {counters['dead_lettered']}, dropped {sum(counters['dropped'].values())}",
    ]
    for label, entry in found["applications"].items():
        lines.append(f"  application {label}: {entry['state']}, requests {entry['requests']}")
        if (policy := entry["policy"]) is not None:
            lines.append(f"    policy: {policy['state']}, {policy['rules']} rules{_checked(policy)}")
            lines += [f"      ! {fault}" for fault in policy["faults"][:MAX_FAULT_LINES]]
            if (more := len(policy["faults"]) - MAX_FAULT_LINES) > 0:
                lines.append(f"      ! and {more} more, see --json")
    return "\n".join(lines)


def _reasons(found: dict[str, Any]) -> Iterator[str]:
    for reason, advice in zip(found["reasons"], found["advice"], strict=True):
        yield f"  ! {reason}"
        yield f"    {advice}"


def _arrival(found: dict[str, Any]) -> str:
    """How old what waits is, and how new what arrived."""
    oldest_s, last_s = found["spool"]["oldest_age_seconds"], found["upload"]["last_success_age_seconds"]
    waits = "nothing waits" if oldest_s is None else f"the oldest event waits for {duration(oldest_s)}"
    last = "none delivered since the start" if last_s is None else f"last delivery {duration(last_s)} ago"
    return f"{waits}, {last}"


def _checked(policy: dict[str, Any]) -> str:
    age_s, next_s = policy["age_seconds"], policy["next_check_in_seconds"]
    age = "" if age_s is None else f", checked {age_s:.0f} s ago"
    return age if next_s is None else f"{age}, next check in {next_s:.0f} s"
