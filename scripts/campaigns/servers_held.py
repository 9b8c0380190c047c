"""What T9, T12 and T13 found on each server, kept in ``docs/servers.json``, and README's table of it."""

import json
from collections.abc import Mapping
from typing import Any

from lab.setups import SETUPS

from campaigns.servers_table import FOUND, line, read

KINDS = ("away", "election", "soak")
"""Of T9, T12 and T13."""
HEAD = (
    "server",
    "shipper away: a request takes",
    "events again after",
    "shipper killed: another after",
    "reconnects of each worker",
    "more descriptors",
    "more threads",
    "more memory",
    "lost in all",
)


def note(server: str, kind: str, found: Mapping[str, Any]) -> None:
    """Put this in place of what was found before of this server in this way."""
    kept = read()
    kept.setdefault("held", {}).setdefault(server, {})[kind] = dict(found)
    kept["held"] = {setup.name: kept["held"][setup.name] for setup in SETUPS if setup.name in kept["held"]}
    FOUND.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")


def held_table() -> str:
    """In Markdown."""
    held = read().get("held", {})
    return "\n".join([line(HEAD), line("---" for _ in HEAD), *(line(_cells(*row)) for row in held.items())])


def _cells(server: str, found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    away, election, soak = (found[kind] for kind in KINDS)
    lost, answered = (sum(found[kind][what] for kind in KINDS) for what in ("lost", "answered"))
    return [
        server,
        f"{away['ratio']:.2f} times as long",
        f"{away['resumed_s']:.1f} s",
        f"{election['replaced_s']:.1f} s",
        str(soak["reconnects"]),
        str(soak["descriptors"]),
        str(soak["threads"]),
        f"{soak['megabytes']:.1f} MB",
        f"{lost} of {answered}",
    ]
