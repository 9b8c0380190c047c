"""What an application pays for importing the middleware: nothing that only some of them need."""

import subprocess
import sys

import pytest

HEAVY = [
    "requests",
    "moesifapi",
    "multiprocess",
    "sqlite3",
    "prometheus_client",
    "orjson",
    "isal",
    "zlib_ng",
    "click",
    "regex",
    "starlette",
    "wrapt",
    "httpx",
    "aiohttp",
    "urllib3",
]


def modules_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after running the code."""
    report = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("name", HEAVY)
def test_a_heavy_module_would_be_seen(name):
    assert name in modules_after(f"import {name}")


def test_importing_the_middleware_loads_nothing_heavy():
    loaded = modules_after("import moesifasgi\nmoesifasgi.MoesifMiddleware")

    assert loaded.isdisjoint(HEAVY), loaded.intersection(HEAVY)


def test_importing_the_package_alone_does_not_even_load_the_wire():
    code = "import moesifasgi, sys\nassert 'moesifasgi.wire' not in sys.modules"

    assert "msgpack" not in modules_after(code)


def test_settings_load_what_few_need_only_when_it_is_needed():
    code = "from moesifasgi.settings import Settings\nSettings.load({'APPLICATION_ID': 'an-id'}, {})"

    loaded = modules_after(code)

    assert loaded.isdisjoint({*HEAVY, "difflib", "msgpack"})
