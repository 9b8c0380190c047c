"""Write into README what is made elsewhere: the table of settings; ``bench.py --readme`` writes its own.

python scripts/readme.py
"""

from pathlib import Path

from moesifasgi.settings import markdown_table

README = Path(__file__).parent.parent / "README.md"


def replace_section(name: str, text: str) -> None:
    """Put ``text`` between ``<!-- name -->`` and ``<!-- /name -->``. ValueError where README has neither."""
    opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
    content = README.read_text("utf-8")
    before, found, rest = content.partition(opening)
    _, found_end, after = rest.partition(closing)
    if not found or not found_end:
        raise ValueError(f"README has no section {opening} … {closing}")
    README.write_text(f"{before}{opening}\n{text}\n{closing}{after}", "utf-8")


if __name__ == "__main__":
    replace_section("settings", markdown_table())
