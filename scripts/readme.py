"""Write into the documents what is made elsewhere.

README's tables of settings and of servers, docs/what-is-recorded.md, docs/outgoing-calls.md, and the
shipper's example file docs/shipper.toml.

``bench.py --readme`` writes its own tables: of figures, and of sizes in docs/operations.md.

python scripts/readme.py
"""

from pathlib import Path

from moesifasgi.settings_table import markdown_table
from moesifasgi.shipper.configuration.example import example

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
EXAMPLE = ROOT / "docs" / "shipper.toml"
OPERATIONS = ROOT / "docs" / "operations.md"
WHAT_IS_RECORDED = ROOT / "docs" / "what-is-recorded.md"
OUTGOING_CALLS = ROOT / "docs" / "outgoing-calls.md"


def replace_section(name: str, text: str, page: Path = README) -> None:
    """Put ``text`` between ``<!-- name -->`` and ``<!-- /name -->``. ValueError where they are missing."""
    opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
    content = page.read_text("utf-8")
    before, found, rest = content.partition(opening)
    _, found_end, after = rest.partition(closing)
    if not found or not found_end:
        raise ValueError(f"{page.name} has no section {opening} … {closing}")
    page.write_text(f"{before}{opening}\n{text}\n{closing}{after}", "utf-8")


if __name__ == "__main__":
    # Here: other programs want only the above, and the cases need every content coding's library.
    from campaigns.servers_held import held_table
    from campaigns.servers_table import table
    from outgoing_calls.page import page as page_of_outgoing_calls
    from recorded.page import page

    replace_section("settings", markdown_table())
    replace_section("servers", table())
    replace_section("servers held", held_table())
    WHAT_IS_RECORDED.write_text(page(), "utf-8")
    EXAMPLE.write_text(example(), "utf-8")
    OUTGOING_CALLS.write_text(page_of_outgoing_calls(), "utf-8")
