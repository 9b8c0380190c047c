"""Each row of docs/what-is-recorded.md, through the real middleware and the shipper's encoding."""

import asyncio
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from lab.one_worker import OneWorker
from recorded.case import LEFT_OUT, Call, Case, Receive, Seen, Send
from recorded.page import SECTIONS, page

from moesifasgi.inspector.schema import faults_of
from moesifasgi.shipper.payload import encode_item

PAGE = Path(__file__).parents[2] / "docs" / "what-is-recorded.md"
CASES = [pytest.param(case, id=f"{part.title}: {case.name}") for part in SECTIONS for case in part.cases]
NOTES = "metadata.moesif."


def event_of(call: Call, directory: Path) -> dict[str, Any]:
    """What the collector gets of a call."""
    worker = OneWorker(directory)
    worker.settings |= call.settings
    app = worker.wrap(asgi(call))
    with suppress(ValueError):
        asyncio.run(app(scope_of(call), *client_of(call)))
    (event,) = worker.channel.events
    encoded = encode_item(event.kind, event.payload)
    made: dict[str, Any] = orjson.loads(encoded)
    return made


def asgi(call: Call) -> Any:
    async def answer(scope: Any, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        headers = encoded_headers(call.response_headers)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": call.response_body})

    return call.application or answer


def scope_of(call: Call) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": call.method,
        "scheme": call.scheme,
        "path": call.path,
        "raw_path": call.path.encode() if call.raw_path is None else call.raw_path,
        "query_string": call.query.encode(),
        "root_path": call.root_path,
        "headers": encoded_headers(call.headers),
        "client": call.client,
        "server": call.server,
    }


def encoded_headers(headers: Any) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers]


def client_of(call: Call) -> tuple[Receive, Send]:
    """A client that sends its body, and leaves when it is read to the end."""
    announced = int(dict(call.headers).get("Content-Length", len(call.body)))
    messages: Iterator[Any] = iter(
        [{"type": "http.request", "body": call.body, "more_body": announced > len(call.body)}]
    )

    async def receive() -> Any:
        return next(messages, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        pass

    return receive, send


def found_at(event: dict[str, Any], path: str) -> Any:
    value: Any = event
    for name in path.split("."):
        value = (value or {}).get(name)
    return value


@pytest.mark.parametrize("case", CASES)
def test_the_event_has_what_the_page_says(case: Case, tmp_path: Path) -> None:
    event = event_of(case.call, tmp_path)
    assert faults_of("events", event) == []
    for path, expected in case.stored.items():
        found = found_at(event, path)
        assert expected.fits(found) if isinstance(expected, Seen) else found == expected, path
    noted = {path.removeprefix(NOTES).split(".")[0] for path in case.stored if path.startswith(NOTES)}
    assert set(event.get("metadata", {}).get("moesif", {})) == noted


@pytest.mark.parametrize("case", CASES)
def test_a_body_is_base64_exactly_where_the_page_says_so(case: Case, tmp_path: Path) -> None:
    event = event_of(case.call, tmp_path)
    for side in ("request", "response"):
        expected = case.stored.get(f"{side}.body", LEFT_OUT)
        if expected is LEFT_OUT:
            continue
        is_bytes = isinstance(expected, Seen)
        assert event[side]["transfer_encoding"] == ("base64" if is_bytes else "json")
        assert not is_bytes or ("base64" in expected.words and b64decode(event[side]["body"]))


def test_the_page_is_the_one_that_the_cases_make() -> None:
    assert PAGE.read_text("utf-8") == page(), "python scripts/readme.py writes it"
