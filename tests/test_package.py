"""What is published: a wheel with everything in it that a user needs, and nothing else."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest
from lab.user_agents import ENDPOINTS, listening

from moesifasgi.version import VERSION

ROOT = Path(__file__).parent.parent
SOURCES = ["moesifasgi", "setup.py", "pyproject.toml", "README.md", "LICENSE"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZipFile]:
    """Built from a copy, so that no build directory is left in the tree; without the network."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in SOURCES:
        origin = ROOT / name
        if origin.is_dir():
            shutil.copytree(origin, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(origin, source)
    build = "import sys, setuptools.build_meta as backend; backend.build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", build, built], cwd=source, check=True, capture_output=True, timeout=60
    )
    (path,) = built.glob("*.whl")
    with ZipFile(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def metadata(wheel: ZipFile) -> Message:
    return Parser().parsestr(read(wheel, "METADATA"))


def read(wheel: ZipFile, name: str) -> str:
    """A file of the wheel's own description."""
    (path,) = (path for path in wheel.namelist() if path.endswith(f".dist-info/{name}"))
    return wheel.read(path).decode("utf-8")


def install(wheel: Path, directory: Path) -> Path:
    """The wheel as pip unpacks it, without what it requires and without the package index."""
    options = ["--quiet", "--no-index", "--no-deps", "--target", str(directory)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True, timeout=60)
    return directory


def test_the_wheel_carries_the_version_of_the_code(wheel: ZipFile, metadata: Message):
    """A14: the published package does not know its own version, and says None in its User-Agent."""
    assert metadata["Version"] == VERSION
    assert Path(wheel.filename or "").name == f"moesifasgi-{VERSION}-py3-none-any.whl"
    assert f'VERSION = "{VERSION}"' in wheel.read("moesifasgi/version.py").decode("utf-8")


def test_the_version_is_one_that_the_index_takes():
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc|\.dev)\d+)?", VERSION)


def test_every_module_and_data_file_is_in_the_wheel(wheel: ZipFile):
    package = ROOT / "moesifasgi"
    wanted = {
        str(path.relative_to(ROOT))
        for path in package.rglob("*")
        if path.suffix in {".py", ".html", ".typed"} and "__pycache__" not in path.parts
    }

    assert wanted <= set(wheel.namelist())


def test_only_the_package_is_in_the_wheel(wheel: ZipFile):
    tops = {path.split("/")[0] for path in wheel.namelist()}

    assert tops == {"moesifasgi", f"moesifasgi-{VERSION}.dist-info"}


def test_the_wheel_says_that_it_is_typed(wheel: ZipFile):
    assert "moesifasgi/py.typed" in wheel.namelist()


def test_the_command_is_installed(wheel: ZipFile):
    assert "moesif-shipper = moesifasgi.shipper.cli:main" in read(wheel, "entry_points.txt")


def test_the_licence_comes_along(wheel: ZipFile, metadata: Message):
    assert metadata["License-Expression"] == "Apache-2.0" or metadata["License"] == "Apache-2.0"
    (licence,) = (path for path in wheel.namelist() if path.endswith("/LICENSE"))
    assert "Apache License" in wheel.read(licence).decode("utf-8")


def test_tools_for_tests_and_checks_are_extras_only(metadata: Message):
    requirements = metadata.get_all("Requires-Dist") or []
    needed = {re.split(r"[<>=;\[ ]", text)[0] for text in requirements if "extra ==" not in text}

    assert needed.isdisjoint({"pytest", "mypy", "ruff", "uvicorn", "gunicorn", "fastapi", "httpx"})
    assert {"starlette", "msgpack", "requests", "click"} <= needed


def test_an_installed_wheel_knows_its_version(
    wheel: ZipFile, short_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A14: the version of the published package was in a file beside it, which no wheel had."""
    installed = install(Path(wheel.filename or ""), tmp_path / "installed")
    monkeypatch.setenv("PYTHONPATH", str(installed))
    asked = "import moesifasgi, importlib.metadata as m; print(moesifasgi.__file__, m.version('moesifasgi'))"
    told = subprocess.run(
        [sys.executable, "-c", asked], cwd=short_dir, check=True, capture_output=True, text=True, timeout=60
    ).stdout.split()
    assert told == [str(installed / "moesifasgi" / "__init__.py"), VERSION]

    with listening() as collector:
        collector.hear_one_of_everything(short_dir)
    assert collector.heard == {endpoint: {f"moesifasgi/{VERSION}"} for endpoint in ENDPOINTS}


def test_an_installed_wheel_has_the_inspectors_page(wheel: ZipFile, tmp_path: Path):
    installed = install(Path(wheel.filename or ""), tmp_path / "installed")

    assert (
        (installed / "moesifasgi" / "inspector" / "page.html")
        .read_text("utf-8")
        .startswith("<!doctype html>")
    )
    assert (installed / "moesifasgi" / "py.typed").exists()
