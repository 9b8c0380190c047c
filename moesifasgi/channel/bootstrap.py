"""Runs a module of the very package that this file is in: ``python -P bootstrap.py -m moesifasgi.shipper …``.

The module runs in a child of the process that was started, so that whoever started it has no child for longer
than the start takes: a server's master may wait for all of its children, or for none. Until then the process
stays, as an attendant. Its standard input is a socket, to which it says who the child is, and whether that
ended in good order; when the socket ends it leaves.

``python -m`` would look for the package where a fresh interpreter looks. A worker may have found it elsewhere
(in a path that its program added), and another version of it may lie there. What the package needs is looked
for as the worker does, but behind the interpreter's own places, so that no module of the application (its own
``queue.py``) takes the place of a standard one.
"""

import importlib.util
import os
import runpy
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

WORKERS_PATH = "MOESIF_WORKERS_PATH"
"""Environment variable: where the worker looks for modules."""

LOOK_MS = 20
"""How soon the attendant knows of the module's end."""
ATTENDANT = "moesif-start"
"""Its name in a list of processes, which has the same command line twice meanwhile."""
GOOD_ORDER = b"."
"""Said, not told by an exit status: others may ask for that first, and to gunicorn's master some statuses of
any child mean its own end."""


def leave_the_starter() -> None:
    """Return in a child that leads a session; here, attend to it and end."""
    if child := os.fork():
        attend(child)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def attend(child: int) -> NoReturn:
    """Until the child ends, or nobody waits for that any more. A SIGTERM is for the child."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(ATTENDANT, "ascii")
    _say(b"%d" % child)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    poller = select.poll()
    poller.register(0, select.POLLIN)
    while not poller.poll(LOOK_MS):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            _say(b"" if status else GOOD_ORDER)
            break
    os._exit(0)


def _say(word: bytes) -> None:
    with suppress(OSError):
        os.write(0, word)


def let_go() -> None:
    """Of the worker's descriptors (a listening socket, meant for its siblings), and of its directory."""
    for path in list(Path("/proc/self/fd").iterdir()):
        if int(path.name) > 2:
            with suppress(OSError):  # The listing's own is closed already.
                os.close(int(path.name))
    os.chdir("/")


def main() -> None:
    """Obey the command line."""
    let_go()
    leave_the_starter()
    package = Path(__file__).parent.parent
    workers = os.environ.pop(WORKERS_PATH, "").split(os.pathsep)
    sys.path += [path for path in workers if path and path not in sys.path]
    spec = importlib.util.spec_from_file_location(
        package.name, package / "__init__.py", submodule_search_locations=[str(package)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{package} is no package")
    module = importlib.util.module_from_spec(spec)
    sys.modules[package.name] = module
    spec.loader.exec_module(module)
    _, _, name, *arguments = sys.argv
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
