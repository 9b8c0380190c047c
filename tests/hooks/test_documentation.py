"""The code of docs/hooks-and-masks.md runs, and what its text names exists."""

import re
from pathlib import Path
from typing import Any

from lab.one_worker import OneWorker, asked
from starlette.responses import JSONResponse

from moesifasgi import MoesifMiddleware
from moesifasgi.counters import Counters
from moesifasgi.event.masks import MASK
from moesifasgi.hooks import MAX_ID_CHARACTERS, MAX_METADATA_BYTES
from moesifasgi.settings import ENTRIES, Settings
from moesifasgi.waiting import MAX_WAITING

TEXT = (Path(__file__).parents[2] / "docs" / "hooks-and-masks.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def names_of(block: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(block, "docs/hooks-and-masks.md", "exec"), names)
    return names


def test_the_hooks_of_the_documentation_work(worker: OneWorker):
    app = names_of(BLOCKS[0])["app"]
    ((_, _, options),) = app.user_middleware
    assert options["settings"]["APPLICATION_ID"]
    options["settings"] |= worker.settings

    @app.middleware("http")
    async def authenticated(request: Any, call_next: Any) -> Any:
        request.state.user_id = 7
        return await call_next(request)

    asked(app, "GET", "/health")
    asked(app, "GET", "/items", headers={"x-company-id": "acme"})

    assert (worker.event["user_id"], worker.event["company_id"]) == ("7", "acme")
    assert worker.event["metadata"] == {"region": "westus", "route": "/items", "cached": None}
    assert worker.counted("skipped") == 1


def test_the_masks_of_the_documentation_work(worker: OneWorker):
    settings = names_of(BLOCKS[1])["settings"]
    assert Settings.load(settings, {}).warnings == ()
    answer = JSONResponse({"access_token": "secret"}, headers={"set-cookie": "secret"})
    app = MoesifMiddleware(answer, settings={**settings, **worker.settings})
    asked(app, "GET", "/?token=secret", headers={"authorization": "secret"})

    assert b"secret" not in worker.wire
    assert worker.event["response"]["body"] == {"access_token": MASK}


def test_the_mask_of_the_documentation_works(worker: OneWorker):
    mask = names_of(BLOCKS[2])["mask_event"]
    app = worker.wrap(JSONResponse({"password": "secret"}), MASK_EVENT_MODEL=mask)
    asked(app, "GET", "/", headers={"x-internal": "secret"})

    assert worker.event["response"]["body"] == {"password": None}
    assert "x-internal" not in worker.event["request"]["headers"]


def test_what_the_documentation_names_exists():
    keys = set(re.findall(r"`([A-Z][A-Z_]+[A-Z])`", TEXT))
    counters = set(re.findall(r"`(hook_\w+|withheld)`", TEXT))

    assert keys <= set(ENTRIES), keys - set(ENTRIES)
    assert counters <= set(Counters().snapshot())
    assert {
        f"{MAX_WAITING:,} events",
        f"{MAX_ID_CHARACTERS:,} characters",
        f"{MAX_METADATA_BYTES // 1000} kB",
    } <= set(re.findall(r"[\d,]+ \w+", TEXT))
