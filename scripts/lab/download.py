"""A process that downloads through one client library, with its calls recorded, and says what it took.

    python -m lab.download CLIENT URL

It prints one JSON object: how much more memory was needed than before, what came, and what was recorded.
"""

import asyncio
import hashlib
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from outgoing_calls.clients import CLIENTS, Asked, Client

from lab.one_worker import OneWorker

WARM_UP_BYTES = 1_000_000


def peak_bytes() -> int:
    """Most memory that this process has ever held. (``getrusage`` would count what its parent held, too.)"""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text("ascii"), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


async def download(client: Client, url: str) -> tuple[str, int]:
    """The parts as they come, their digest and number."""
    digest, number = hashlib.sha256(), 0
    async for part in client.parts(Asked(url)):
        digest.update(part)
        number += 1
    return digest.hexdigest(), number


async def main(name: str, url: str) -> dict[str, Any]:
    client = next(client for client in CLIENTS if client.name == name)
    with tempfile.TemporaryDirectory() as directory:
        worker = OneWorker(Path(directory))
        worker.wrap(None, CAPTURE_OUTGOING_REQUESTS=True)
        # What is allocated once is there already.
        await download(client, f"{url.rpartition('/')[0]}/{WARM_UP_BYTES}")
        before = peak_bytes()
        digest, _ = await download(client, url)
        event = worker.events[-1]
        return {
            "grown_bytes": peak_bytes() - before,
            "digest": digest,
            "note": event["metadata"]["moesif"],
            "recorded_characters": len(event["response"]["body"]),
        }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
