"""Runs a module of the very package that this file is in: ``python -P bootstrap.py -m moesifasgi.shipper …``.

``python -m`` would look for the package where a fresh interpreter looks. A worker may have found it elsewhere
(in a path that its program added), and another version of it may lie there. What the package needs is looked
for as the worker does, but behind the interpreter's own places, so that no module of the application (its own
``queue.py``) takes the place of a standard one.
"""

import importlib.util
import os
import runpy
import sys
from contextlib import suppress
from pathlib import Path

WORKERS_PATH = "MOESIF_WORKERS_PATH"
"""Environment variable: where the worker looks for modules."""


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
