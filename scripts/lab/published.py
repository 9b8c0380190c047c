"""The published in-process package, in a virtual environment of its own: what we are compared with."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

PUBLISHED_VERSION = "1.1.8"
PUBLISHED = (f"moesifasgi=={PUBLISHED_VERSION}", "moesifapi==1.5.5", "moesifpythonrequest==0.3.5")
"""With the parts that do its work, so that what it does stays the same from one day to the next."""
SAME_VERSIONS = (
    "anyio",
    "fastapi",
    "h11",
    "httptools",
    "pydantic",
    "python-multipart",
    "starlette",
    "uvicorn",
    "uvloop",
)
"""What must not differ between the two environments, or the difference would be theirs."""
DIRECTORY = Path(__file__).parents[2] / ".venv-published"
STAMP = "installed"
"""File in the environment that says what is in it; written last, so that half an environment has none."""
INSTALL_TIMEOUT_S = 180.0


class NotInstallable(RuntimeError):
    """The environment could not be made; the text says why, as pip does."""


def published_python() -> str:
    """The interpreter of the environment that holds the published package.

    Made on first use, and again when one of the versions is another than here. NotInstallable where the
    package index cannot be reached.
    """
    wanted = [*PUBLISHED, *(f"{name}=={version(name)}" for name in SAME_VERSIONS)]
    content = "\n".join([sys.version, *wanted]) + "\n"
    stamp = DIRECTORY / STAMP
    DIRECTORY.mkdir(exist_ok=True)
    with _locked(DIRECTORY):
        if not stamp.exists() or stamp.read_text("utf-8") != content:
            _make(wanted)
            unfinished = stamp.with_suffix(".new")
            unfinished.write_text(content, "utf-8")
            unfinished.replace(stamp)
    return str(DIRECTORY / "bin" / "python")


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Tests and benchmarks may want the environment at the same time; it is made once."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make(wanted: list[str]) -> None:
    # Without pip of its own: ours installs into it, and that saves half of the time.
    python = [sys.executable, "-m"]
    _run([*python, "venv", "--clear", "--without-pip", str(DIRECTORY)])
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--retries", "1"]
    _run([*python, "pip", "--python", str(DIRECTORY), "install", *options, *wanted])


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise NotInstallable(f"not done after {INSTALL_TIMEOUT_S:g} s: {' '.join(command)}") from None
    if done.returncode != 0:
        raise NotInstallable(f"{' '.join(command)}:\n{done.stderr.strip()[-2000:]}")
