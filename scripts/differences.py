"""Write docs/differences-from-1.1.8.md: run both packages, and explain what differs.

python scripts/differences.py

Needs the package index once, for the published package. Fails where a difference has no reason.
"""

import sys
from pathlib import Path

# Last: directories of the tests have the names of packages elsewhere.
sys.path.append(str(Path(__file__).parents[1] / "tests"))

from differential.comparison import differences
from differential.differences import stale, unexplained
from differential.page import PATH, page
from differential.sides import our_side, published_side
from differential.traffic import TRAFFIC


def main() -> int:
    found = differences(published_side(TRAFFIC), our_side(TRAFFIC))
    for difference, titles in (wrong := unexplained(found)):
        print(f"{str(difference)[:200]} … {' and '.join(titles) or 'no reason'}", file=sys.stderr)
    for name in (idle := stale(found)):
        print(f"explains nothing: {name}", file=sys.stderr)
    if wrong or idle:
        return 1
    PATH.write_text(page(found), "utf-8")
    print(f"{len(found)} differences in {len(TRAFFIC)} requests, written to {PATH.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
