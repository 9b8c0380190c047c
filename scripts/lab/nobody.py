"""Running something as a user who owns nothing, where that can be done."""

import os
import shutil
import subprocess
import sys

UID = 65_534
PREFIX = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")
"""Goes before a command."""


def missing_right() -> str | None:
    """Why it cannot be done here; None if it can."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        return "needs root and setpriv"
    tried = subprocess.run([*PREFIX, sys.executable, "-c", "import moesifasgi"], capture_output=True, cwd="/")
    return "the interpreter or the package is closed to other users" if tried.returncode else None
