"""A long streamed response through each library: bounded memory, and the application gets what there is."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.upstream import BLOCK
from outgoing_calls.clients import CLIENTS, Client

SCRIPTS = Path(__file__).parents[2] / "scripts"
SIZE_BYTES = 100_000_000
MAX_BODY_SIZE = 100_000
ROOM_BYTES = 8_000_000
"""What a client's own buffers may grow by; the hundredth part of it is ours."""


def digest_of(size: int) -> str:
    digest = hashlib.sha256()
    for start in range(0, size, len(BLOCK)):
        digest.update(BLOCK[: size - start])
    return digest.hexdigest()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """An API in a process of its own."""
    server = subprocess.Popen(
        [sys.executable, "-m", "lab.upstream"],
        cwd=SCRIPTS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    yield server.stdout.readline().strip()
    server.communicate("", timeout=20)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_download_of_100_mb_takes_no_more_memory_than_the_limit_of_a_body(client: Client, url: str):
    done = subprocess.run(
        [sys.executable, "-m", "lab.download", client.name, f"{url}/bytes/{SIZE_BYTES}"],
        cwd=SCRIPTS,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["digest"] == digest_of(SIZE_BYTES)
    assert told["note"] == {"response_body": {"cut_at_bytes": MAX_BODY_SIZE, "size_bytes": SIZE_BYTES}}
    assert told["recorded_characters"] == (MAX_BODY_SIZE + 2) // 3 * 4
    assert told["grown_bytes"] < ROOM_BYTES
