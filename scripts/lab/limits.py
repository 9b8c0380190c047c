"""This process as it is on a full machine: files that cannot grow, descriptors that cannot be had."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """No file of this process can grow beyond ``size`` bytes: what a full disk looks like to it."""
    with _limited(resource.RLIMIT_FSIZE, size):
        yield


@contextmanager
def no_more_descriptors() -> Iterator[None]:
    """This process can open nothing more."""
    lowest_free = os.dup(0)
    os.close(lowest_free)
    with _limited(resource.RLIMIT_NOFILE, lowest_free):
        yield


@contextmanager
def _limited(what: int, soft: int) -> Iterator[None]:
    before, hard = resource.getrlimit(what)
    resource.setrlimit(what, (soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(what, (before, hard))
