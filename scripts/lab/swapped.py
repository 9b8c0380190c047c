"""A path whose file is another one all the time, as who races against a check would have it."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def swapping(path: Path, *others: Path) -> Iterator[None]:
    """During the block the path stands for one of the others, each in its turn, never for nothing."""
    ended = threading.Event()
    turns = itertools.cycle(others)

    def swap() -> None:
        link = path.with_suffix(".next")
        link.symlink_to(next(turns))
        link.replace(path)

    def swap_on() -> None:
        while not ended.is_set():
            swap()

    swap()
    thread = threading.Thread(target=swap_on)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
