"""The published in-process package, in a virtual environment of its own: the peer that we are measured by."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

PUBLISHED = "moesifasgi==1.1.8"
SAME_VERSIONS = ("fastapi", "starlette", "pydantic", "uvloop")
"""What must not differ between the two environments, or the difference would be theirs."""
DIRECTORY = Path(__file__).parent.parent.parent / ".venv-published"


def published_python() -> str:
    """The interpreter of the environment that holds the published package; made on first use."""
    python = DIRECTORY / "bin" / "python"
    wanted = [PUBLISHED, *(f"{name}=={version(name)}" for name in SAME_VERSIONS)]
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(DIRECTORY)], check=True)
    if not _has(python, wanted):
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *wanted], check=True)
    return str(python)


def _has(python: Path, wanted: list[str]) -> bool:
    freeze = subprocess.run([str(python), "-m", "pip", "freeze"], check=True, capture_output=True, text=True)
    return set(wanted) <= set(freeze.stdout.split())
