"""What signals mean to a shipper, while it serves and at its start."""

import contextlib
import signal
from collections.abc import Callable, Iterator

from moesifasgi.wakeup import Wakeup


@contextlib.contextmanager
def heeded(
    wakeup: Wakeup, ask_to_leave: Callable[[], None], reload: Callable[[], None] | None
) -> Iterator[None]:
    """SIGTERM and SIGINT ask to leave, SIGHUP to reload (None: it is ignored). Restores what was there.

    The wake-up ends a wait in progress.
    """
    before = {
        number: signal.signal(number, lambda *_: ask_to_leave()) for number in (signal.SIGTERM, signal.SIGINT)
    }
    hangup = signal.SIG_IGN if reload is None else lambda *_: reload()
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, hangup)
    descriptor = signal.set_wakeup_fd(wakeup.write_fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in before.items():
            signal.signal(number, handler)


def set_up(embedded: bool) -> None:
    """From here on a signal finds handlers: while they are being set up it must not kill halfway."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN if embedded else signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
