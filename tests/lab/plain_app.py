"""A bare ASGI application with the paths of the mix. It prints ``LAB_PRINTS`` of its environment first."""

import os
import subprocess
import sys
from typing import Any

sys.stdout.write(os.environ.get("LAB_PRINTS", "") + "\n")
sys.stdout.flush()
STATUSES = {"/items/9999": 404, "/login": 200, "/me": 200}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers the mix, and raises on /boom after it has answered 500, as Starlette does."""
    if scope["type"] != "http":
        return
    if scope["path"] == "/boom":
        await send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})
        raise RuntimeError("boom")
    if scope["path"] == "/orphan":
        _leave_a_process()
    sent = dict(scope["headers"]).get(b"authorization", b"")
    status = 401 if scope["path"] == "/me" and sent != b"Bearer t" else STATUSES.get(scope["path"], 200)
    headers = [(b"x-moesif-transaction-id", os.urandom(18).hex().encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"access_token": "t"}'})


def _leave_a_process() -> None:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
