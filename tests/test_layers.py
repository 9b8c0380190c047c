"""The layers hold, and each contract in .importlinter breaks where it should."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
SHIPPER = "Nothing outside the shipper imports it"
INSPECTOR = "Nothing but the command imports the inspector"
PURE = "Pure modules reach no socket, file, clock, thread or randomness"
CORE = "What an event is and how it travels does not depend on who uses it"
VIOLATIONS = [
    ("channel.memory", "import {}", "shipper", SHIPPER),
    ("counters", "from {} import Lane", "shipper.spool", SHIPPER),
    ("inspector.store", "import {} as late", "shipper", SHIPPER),
    ("settings", "import {} as collector", "inspector", INSPECTOR),
    ("shipper.http", "def late():\n    from {} import Collector\n", "inspector", INSPECTOR),
    ("event.record", "import {}", "time", PURE),
    ("policy.sampling", "from {} import Lock", "threading", PURE),
    ("wire.frame", "import {} as transport", "socket", PURE),
    ("wire.codec", "def late():\n    import {}\n", "random", PURE),
    ("exchange", "import {}.path", "os", PURE),
    ("exchange", "from {} import say", "quiet", PURE),
    ("wire.ring", "from {} import Channel", "channel", CORE),
    ("event.body", "from {} import MoesifMiddleware", "middleware", CORE),
    ("event.uri", "from {} import Settings", "settings", CORE),
]
"""Importer, statement, what it imports (ours or the standard library's), the contract that it breaks."""


def qualified(module: str) -> str:
    return module if module in sys.stdlib_module_names else f"moesifasgi.{module}"


def report_on(root: Path) -> str:
    done = subprocess.run(
        [LINT_IMPORTS, "--no-logo", "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Contracts: " in done.stdout, done.stdout + done.stderr
    assert (done.returncode == 0) == (" 0 broken." in done.stdout)
    return done.stdout


@pytest.fixture(scope="module")
def spoilt_report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is said of a copy of the package with all violations in it."""
    copy = tmp_path_factory.mktemp("spoilt")
    shutil.copytree(ROOT / "moesifasgi", copy / "moesifasgi", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", copy)
    for importer, statement, imported, _ in VIOLATIONS:
        path = copy.joinpath("moesifasgi", *importer.split(".")).with_suffix(".py")
        path.write_text(f"{path.read_text('utf-8')}\n{statement.format(qualified(imported))}\n", "utf-8")
    return report_on(copy)


def test_every_layer_holds():
    assert "Contracts: 4 kept, 0 broken." in report_on(ROOT)


@pytest.mark.parametrize("contract", [SHIPPER, INSPECTOR, PURE, CORE])
def test_every_contract_can_break(spoilt_report: str, contract: str):
    assert re.search(f"^{contract} BROKEN", spoilt_report, re.MULTILINE)


@pytest.mark.parametrize(("importer", "statement", "imported", "contract"), VIOLATIONS)
def test_a_violation_is_found(
    spoilt_report: str, importer: str, statement: str, imported: str, contract: str
):
    _, _, details = spoilt_report.partition("Broken contracts")
    parts = re.split(r"^(.+)\n-{10,}$", details, flags=re.MULTILINE)[1:]
    illegal = dict(zip(parts[::2], parts[1::2], strict=True))[contract]

    assert f"moesifasgi.{importer} -> {qualified(imported)} (l." in illegal
