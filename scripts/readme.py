"""Write into the documents what is made elsewhere: README's tables of settings and of servers, and
docs/what-is-recorded.md.

``bench.py --readme`` writes its own table.

python scripts/readme.py
"""

from pathlib import Path

from moesifasgi.settings import markdown_table

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
WHAT_IS_RECORDED = ROOT / "docs" / "what-is-recorded.md"


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
    # Here: other programs want only the above, and the cases need every content coding's library.
    from campaigns.servers_table import table
    from recorded.page import page

    replace_section("settings", markdown_table())
    replace_section("servers", table())
    WHAT_IS_RECORDED.write_text(page(), "utf-8")
