"""What the pages for developers name is there, under that name."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("moesifasgi", "scripts", "tests", "docs", "examples", ".ci")
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
FOR_DEVELOPERS = ("ARCHITECTURE.md", "CONTRIBUTING.md", "docs/decisions.md")
FILE = re.compile(r"`([\w./*-]+\.(?:py|md|toml|json|html))`")
FOLDER = re.compile(r"`([\w./-]+)/`")
MEMBER = re.compile(r"`([A-Z]\w*[a-z]\w*)\.(\w+)(?:\(\))?`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def paths() -> list[str]:
    """Every file and folder of the project, from its root."""
    found = [
        path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts
    ]
    return [
        f"/{path.relative_to(ROOT)}" for path in [*found, *ROOT.glob("*.*"), *map(ROOT.joinpath, FOLDERS)]
    ]


def unknown(names: list[str]) -> list[str]:
    """Those that no path ends with."""
    known = paths()
    return [name for name in names if not any(fnmatch(path, f"*/{name}") for path in known)]


def test_a_name_that_stands_for_nothing_is_seen():
    assert unknown(["carrier.py", "channel", "*_calls.py", "no_such.py"]) == ["no_such.py"]


@pytest.mark.parametrize("page", FOR_DEVELOPERS)
def test_each_file_and_folder_that_a_page_names_exists(page: str):
    text = (ROOT / page).read_text("utf-8")
    names = FILE.findall(text) + FOLDER.findall(text)
    assert names
    assert unknown(names) == []


def test_each_member_that_a_page_names_exists():
    text = "".join((ROOT / page).read_text("utf-8") for page in FOR_DEVELOPERS)
    source = "".join(file.read_text("utf-8") for file in (ROOT / "moesifasgi").rglob("*.py"))
    members = MEMBER.findall(text)
    assert ("Carrier", "offer") in members
    for owner, member in members:
        assert re.search(rf"^class {owner}\b", source, re.MULTILINE), owner
        assert re.search(rf"^    (?:async )?def {member}\b|^    {member}\b", source, re.MULTILINE), member


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_of_a_page_leads_somewhere(page: Path):
    for target in LINK.findall(page.read_text("utf-8")):
        assert (page.parent / target).exists(), target
