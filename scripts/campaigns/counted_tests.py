"""Campaigns that are tests with a larger count: they need no server, and assert for themselves."""

import os
import random
import subprocess
import sys
from pathlib import Path

from lab.counts import COUNT, SEED

from campaigns.scene import Finding

ROOT = Path(__file__).parent.parent.parent
RELIABILITY = ROOT / "tests" / "reliability"


def finding_of(name: str, file: str, done: str, count: int, rng: random.Random) -> Finding:
    """Run a file of tests with this count; it holds if they pass. What they say when not goes to stdout."""
    seed = rng.randrange(1 << 30)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--timeout=0",
        "-p",
        "no:cacheprovider",
        str(RELIABILITY / file),
    ]
    environment = {**os.environ, COUNT: str(count), SEED: str(seed)}
    passed = not subprocess.run(command, cwd=ROOT, env=environment).returncode
    return Finding(name, f"{count} {done}", count, 0, 0, f"seed {seed}", passed)
