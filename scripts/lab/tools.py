"""Programs that some tests need and a machine may lack."""

import os
import shutil

from lab.requirement import require


def needed(*names: str) -> None:
    """Skip the test where one of these programs is missing, or fail it in CI."""
    missing = [name for name in names if shutil.which(name) is None]
    require(f"not installed: {', '.join(missing)}" if missing else None)


def needs_root(reason: str) -> None:
    """The same where we are not root; ``reason`` is a sentence about root."""
    require(reason if os.geteuid() else None)
