"""Makes ``differential`` importable for its tests; scripts/differences.py does the same."""

import sys
from pathlib import Path

TESTS = str(Path(__file__).parents[1])
if TESTS not in sys.path:
    # Last: directories here have the names of packages elsewhere.
    sys.path.append(TESTS)
