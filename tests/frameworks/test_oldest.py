"""The oldest Starlette and FastAPI that setup.py allows, with the newest of everything else."""

import re
import subprocess
from pathlib import Path

import pytest
from lab.requirement import require

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-oldest" / "bin" / "python"
TESTS = (
    "tests/test_middleware.py",
    "tests/hooks/test_hooks.py",
    "tests/hooks/test_masking.py",
    "tests/frameworks/test_every_framework.py",
    "tests/frameworks/test_starlette_layers.py",
    "tests/frameworks/test_websocket_and_lifespan.py",
)
NOT_INSTALLED = "litestar or quart or falcon or django or blacksheep or hypercorn"
OPTIONS = (
    *("-p", "no:cacheprovider"),
    # That Starlette imports python-multipart by its old name.
    *("-W", "ignore:Please use:PendingDeprecationWarning"),
)
VERSIONS = "from importlib.metadata import version; print(version('starlette'), version('fastapi'))"


@pytest.fixture
def python() -> str:
    """The interpreter that has them. `make test` makes it."""
    if not PYTHON.exists():
        require(f"{PYTHON.parent.parent.name} is not there; `make test` makes it")
    return str(PYTHON)


def minimum(package: str) -> str:
    found = re.search(rf'"{package}>=([0-9.]+)"', (ROOT / "setup.py").read_text("utf-8"))
    assert found is not None
    return found[1]


def test_the_environment_has_exactly_the_minimums_of_setup_py(python: str):
    printed = subprocess.run([python, "-c", VERSIONS], capture_output=True, text=True, check=True).stdout
    assert printed.split() == [minimum("starlette"), minimum("fastapi")]


@pytest.mark.timeout(240)
def test_the_oldest_starlette_and_fastapi_pass_the_same_tests(python: str):
    command = [python, "-m", "pytest", *TESTS, *OPTIONS, "-k", f"not ({NOT_INSTALLED})"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
