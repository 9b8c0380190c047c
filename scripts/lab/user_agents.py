"""What a collector hears as User-Agent, from a script that uploads one of everything."""

import json
import os
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lab.processes import bearing, eventually, kill_all, marked

UPLOADER_TIMEOUT_S = 30.0
ENDPOINTS = frozenset(
    {
        "GET /v1/config",
        "GET /v1/rules",
        "POST /v1/events/batch",
        "POST /v1/users/batch",
        "POST /v1/companies/batch",
        "POST /v1/subscriptions/batch",
        "POST /v1/actions/batch",
    }
)
"""All that is ever asked of the collector."""
_ONE_OF_EVERYTHING = """
import asyncio, json, os, sys
import moesifasgi

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})

async def take(message):
    pass

middleware = moesifasgi.MoesifMiddleware(app, settings=json.loads(os.environ["UPLOADER_SETTINGS"]))
scope = {"type": "http", "method": "GET", "scheme": "http", "path": "/", "query_string": b"", "headers": []}
asyncio.run(middleware(scope, None, take))
middleware.update_user({"user_id": "u"})
middleware.update_company({"company_id": "c"})
middleware.update_subscription({"subscription_id": "s", "company_id": "c", "status": "active"})
middleware.send_action({"action_name": "a"})
sys.exit(0 if moesifasgi.flush(20) else 1)
"""


class UserAgents:
    """A collector that takes everything and remembers, by endpoint, who said that it was."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.heard: dict[str, set[str | None]] = defaultdict(set)

    def hear_one_of_everything(self, directory: Path, **settings: Any) -> None:
        """Run the script, with ``directory`` for its shipper, until each endpoint was asked.

        Nothing it has started is left afterwards. CalledProcessError if not everything was delivered.
        """
        own = {
            "APPLICATION_ID": "application-of-the-user-agents-0123456789-0123456789",
            "BASE_URI": self.url,
            "SPOOL_DIR": str(directory / "spool"),
            "SHIPPER_SOCKET": str(directory / "nobody.sock"),
        }
        environment, mark = marked(os.environ | {"UPLOADER_SETTINGS": json.dumps(own | settings)})
        command = [sys.executable, "-c", _ONE_OF_EVERYTHING]
        try:
            self._run(command, directory, environment)
            eventually(lambda: set(self.heard) >= ENDPOINTS, UPLOADER_TIMEOUT_S, "each endpoint was asked")
        finally:
            kill_all(bearing(mark))

    def _run(self, command: list[str], directory: Path, environment: Mapping[str, str]) -> None:
        # In an empty directory: Python looks there first, and would find the tree that the tests run in.
        subprocess.run(command, cwd=directory, env=environment, check=True, timeout=UPLOADER_TIMEOUT_S)


@contextmanager
def listening() -> Iterator[UserAgents]:
    """The collector, until the block ends."""

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, b"[]" if self.path == "/v1/rules" else b"{}")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(201, b"{}")

        def _answer(self, status: int, body: bytes) -> None:
            found.heard[f"{self.command} {self.path}"].add(self.headers["User-Agent"])
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  (the base class's name)
            """Nothing: it would write to stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    found = UserAgents(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
