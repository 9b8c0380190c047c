"""Subject: what it costs a fresh interpreter that has FastAPI to import the middleware.

    python -m benchmarks.subjects.import_cost

It prints one JSON object, ``cpu_s`` and ``rss_bytes``, and leaves.
"""

import json
import resource
import time
from pathlib import Path

import fastapi  # noqa: F401  (every application has it in memory already)


def resident_bytes() -> int:
    """Memory of this process that is in RAM now."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()


def main() -> None:
    memory, cpu = resident_bytes(), time.process_time()
    from moesifasgi import MoesifMiddleware  # noqa: F401  (its import is what is measured)

    spent = time.process_time() - cpu
    print(json.dumps({"cpu_s": spent, "rss_bytes": resident_bytes() - memory}))


if __name__ == "__main__":
    main()
