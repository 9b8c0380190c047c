"""Write into the documents what is made elsewhere: README's table of settings, docs/what-is-recorded.md and
docs/outgoing-calls.md.

``bench.py --readme`` writes its own table.

python scripts/readme.py
"""

from pathlib import Path

from moesifasgi.settings import markdown_table

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
WHAT_IS_RECORDED = ROOT / "docs" / "what-is-recorded.md"
OUTGOING_CALLS = ROOT / "docs" / "outgoing-calls.md"


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
    from outgoing_calls.page import page as page_of_outgoing_calls
    from recorded.page import page

    replace_section("settings", markdown_table())
    WHAT_IS_RECORDED.write_text(page(), "utf-8")
    OUTGOING_CALLS.write_text(page_of_outgoing_calls(), "utf-8")
