"""What T3 found, kept in ``docs/servers.json``, and README's table of it: what held on each server."""

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.setups import BY_NAME, SETUPS, Way

if TYPE_CHECKING:
    from campaigns.t03_ways_to_end import Tried

FOUND = Path(__file__).parents[2] / "docs" / "servers.json"
TRANSPORT_NAMES = {"auto": "socket", "unix": "socket", "queue": "queue"}
HEAD = (
    "server",
    "transport",
    "nothing is lost on",
    "what was in hand is lost on",
    "exit takes longer by",
    "shipper stopped",
    "first shipper not up",
    "no shipper",
    "collector down",
)
_PACKAGES = ("uvicorn", "uvicorn-worker", "gunicorn", "hypercorn", "granian", "daphne")
_ORDER = [setup.name for setup in SETUPS]


def keep(found: "Iterable[Tried]") -> None:
    """Put these in place of what was found before of the same servers and transports."""
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for each in found:
        case = each.case
        rows.setdefault((case.setup.name, TRANSPORT_NAMES[case.transport]), []).append(
            {
                "way": case.way.value,
                "trouble": case.trouble.value,
                "answered": each.life.answered,
                "lost": each.life.lost,
                "holds": each.loses_nothing,
                "more_s": round(max(0.0, each.more_s), 2),
            }
        )
    before = read()
    kept = {(row["server"], row["transport"]): row for row in before["rows"]}
    for (server, transport), ends in rows.items():
        ends.sort(key=lambda end: (end["trouble"], end["way"]))
        kept[server, transport] = {"server": server, "transport": transport, "ends": ends}
    ordered = sorted(kept.values(), key=lambda row: (_ORDER.index(row["server"]), row["transport"]))
    versions = {name: version(name) for name in _PACKAGES}
    text = json.dumps({**before, "versions": versions, "rows": ordered}, indent=1)
    FOUND.write_text(text + "\n", "utf-8")


def table() -> str:
    """In Markdown."""
    found = read()
    lines = [line(HEAD), line("---" for _ in HEAD), *(line(_cells(row)) for row in found["rows"])]
    versions = ", ".join(f"{name} {number}" for name, number in sorted(found["versions"].items()))
    return "\n".join([*lines, "", f"Measured with {versions}."])


def read() -> dict[str, Any]:
    """All that is kept."""
    found: dict[str, Any] = (
        json.loads(FOUND.read_text("utf-8")) if FOUND.exists() else {"rows": [], "versions": {}}
    )
    return found


def _cells(row: Mapping[str, Any]) -> Sequence[str]:
    kills = {way.value for way in BY_NAME[row["server"]].kills}
    well = [end for end in row["ends"] if end["trouble"] == "all well"]
    order = [way.value for way in Way]
    well.sort(key=lambda end: order.index(end["way"]))
    return (
        row["server"],
        row["transport"],
        ", ".join(_told(end) for end in well if end["way"] not in kills),
        ", ".join(_told(end) for end in well if end["way"] in kills) or "-",
        _longest(well),
        *(_longest([end for end in row["ends"] if end["trouble"] == trouble]) for trouble in _TROUBLES),
    )


_TROUBLES = HEAD[5:]


def _told(end: Mapping[str, Any]) -> str:
    return end["way"] if end["holds"] else f"{end['way']} (NOT: {end['lost']} of {end['answered']} lost)"


def _longest(ends: Sequence[Mapping[str, Any]]) -> str:
    if not ends:
        return "-"
    longest = f"{max(end['more_s'] for end in ends):.1f} s"
    lost = sum(end["lost"] for end in ends if not end["holds"])
    return f"{longest}, {lost} LOST" if lost else longest


def line(cells: Iterable[str]) -> str:
    """Of a table in Markdown."""
    return f"| {' | '.join(cells)} |"
