"""The code of docs/outgoing-calls.md runs, and what its text names exists."""

import asyncio
import re
from pathlib import Path
from typing import Any

import requests
from lab.one_worker import ask
from outgoing_calls.scene import Scene

from moesifasgi.outgoing.serving import MAX_WAITING_BYTES, MAX_WAITING_CALLS
from moesifasgi.settings import ENTRIES

TEXT = (Path(__file__).parents[2] / "docs" / "outgoing-calls.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_the_application_of_the_page_records_its_calls(scene: Scene):
    (block,) = BLOCKS
    names: dict[str, Any] = {}
    exec(compile(block, "docs/outgoing-calls.md", "exec"), names)
    app = names["app"]
    ((_, _, options),) = app.user_middleware
    options["settings"] |= scene.worker.settings

    @app.get("/")
    def endpoint() -> None:
        requests.get(scene.url("/echo"), timeout=10)
        requests.options(scene.url("/echo"), timeout=10)

    async def main() -> list[dict[str, Any]]:
        await ask(app, "GET", "/")
        return await scene.events()

    directions = [event["direction"] for event in asyncio.run(main())]
    assert sorted(directions) == ["Incoming", "Outgoing"]
    assert scene.worker.counted("skipped") == 1


def test_the_settings_and_limits_of_the_page_are_those_of_the_code():
    named = set(re.findall(r"`([A-Z][A-Z_]+[A-Z])(?:`|:)", TEXT))
    assert named <= set(ENTRIES)
    assert "CAPTURE_OUTGOING_REQUESTS" in named
    flat = " ".join(TEXT.split())
    assert f"at most {MAX_WAITING_CALLS:,} calls of a process, and {MAX_WAITING_BYTES >> 20} MiB" in flat
