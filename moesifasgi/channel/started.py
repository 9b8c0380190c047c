"""A shipper that a server's master starts before its workers fork, and the handle that they inherit.

The shipper is the one of a state directory, as workers start it themselves: a fresh interpreter in a session
of its own. It is no child of ``multiprocess``: that package's exit hook, which forked workers inherit, would
end it or wait for it. The queue is a pipe of that package, handed to the shipper over its socket, so that one
which runs already takes it too. No thread is started here: a master forks.
"""

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from moesifasgi.channel.dial import EmbeddedDialer, StateDirectory
from moesifasgi.channel.launcher import START_TIMEOUT_S, ShipperOptions
from moesifasgi.channel.queue import Writer, is_deserted
from moesifasgi.places import SOCKET_NAME
from moesifasgi.quiet import say
from moesifasgi.settings import Settings
from moesifasgi.unix_socket import connected
from moesifasgi.wire.codec import decode, encode
from moesifasgi.wire.frame import FrameDecoder, frame
from moesifasgi.wire.messages import Attach, Attached, Message, Refused

QUEUE_BYTES = 1 << 20
"""Asked of the kernel for the pipe; Linux grants it to anybody, or leaves it at 64 kB."""
ANSWER_TIMEOUT_S = 5.0
READ_BYTES = 64 * 1024
_NOT_ASKED = {"APPLICATION_ID": "of-no-matter-here"}
"""It concerns the middlewares; their applications are told to the shipper by the workers."""


class ShipperHandle:
    """A started shipper and the queue to it: the value of SHIPPER. ``start_shipper`` makes it.

    Who forks afterwards passes it on; it cannot be pickled. Of use without a queue too: then the workers'
    events go over the shipper's socket.
    """

    def __init__(self, spool_dir: str | None, options: ShipperOptions) -> None:
        self.options = options
        self.writer: Writer | None = None
        """The queue's write end; None where there is none, in which case the socket is used."""
        self._state = StateDirectory(spool_dir, options.left_bounds)
        self._dialer = EmbeddedDialer(self._state, options)
        self._spool_dir = spool_dir

    @property
    def directory(self) -> Path | None:
        """The shipper's state directory; None if none could be had."""
        try:
            return self._state()
        except OSError:
            return None

    def dialer(self) -> EmbeddedDialer:
        """How a worker reaches this shipper's socket, and starts another where it has died."""
        # The master's, whoever the worker has become.
        named = str(self.directory) if self.directory else self._spool_dir
        return EmbeddedDialer(StateDirectory(named, self.options.left_bounds), self.options)

    def start(self) -> None:
        """Find the shipper or start it, and open a queue to it. Waits at most 20 s; never raises.

        What cannot be had now the workers try for themselves.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        try:
            self._open_queue(self._reached(deadline))
        except OSError as error:
            say("shipper not started", "no queue to a shipper (%s); workers look for one themselves", error)
        finally:
            # It lives as long as its queue has writers: no longer this process's to wait for, nor a child's.
            self._dialer.abandon()

    def mend(self) -> None:
        """Before a fork, in the master: where the shipper has died and another serves, a queue to that one.

        Does not wait for one to be started. Workers that are there already stay on the socket.
        """
        if self.directory is None or (self.writer is not None and not is_deserted(self.writer)):
            return
        try:
            self._open_queue(connected(self.directory / SOCKET_NAME, ANSWER_TIMEOUT_S))
        except OSError as error:
            say("queue not mended", "no queue to a shipper for new workers (%s); they use its socket", error)

    def close(self) -> None:
        """Let go of the queue: the shipper may leave then once the workers are gone. May be called twice."""
        writer, self.writer = self.writer, None
        if writer is not None:
            writer.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a shipper's handle is inherited by fork and cannot be pickled: start the shipper in the process"
            " that forks the workers; servers that spawn them use TRANSPORT 'auto'"
        )

    def _reached(self, deadline: float) -> socket.socket:
        while True:
            try:
                return self._dialer()
            except OSError:
                if not self._dialer.starting or time.monotonic() >= deadline:
                    raise

    def _open_queue(self, shipper: socket.socket) -> None:
        """Over a connection, which is closed."""
        from multiprocess import get_context

        with shipper:
            reader, writer = get_context("spawn").Pipe(duplex=False)
            with reader:
                os.set_blocking(writer.fileno(), False)
                with contextlib.suppress(OSError):
                    fcntl.fcntl(writer.fileno(), fcntl.F_SETPIPE_SZ, QUEUE_BYTES)
                socket.send_fds(shipper, [frame(encode(Attach()))], [reader.fileno()])
            answer = _answer(shipper)
        if not isinstance(answer, Attached):
            why = answer.reason if isinstance(answer, Refused) else f"it answered {type(answer).__name__}"
            raise ConnectionError(f"the shipper does not take a queue: {why}")
        self.close()
        self.writer = writer


_handles: list[ShipperHandle] = []
_is_expected = False


def start_shipper(settings: Mapping[str, Any] | None = None) -> ShipperHandle:
    """Start the shipper that all workers of this server share, before they fork; for TRANSPORT ``queue``.

        SETTINGS = {"APPLICATION_ID": "...", "TRANSPORT": "queue"}
        app.add_middleware(MoesifMiddleware, settings={**SETTINGS, "SHIPPER": start_shipper(SETTINGS)})

    Of the settings those count that say how it behaves (SPOOL_DIR, DURABILITY, SHIPPER_LINGER and so on). One
    that runs in that directory already is used. Call it where no other thread runs: the process is to fork.
    Raises SettingsError; otherwise it never fails.
    """
    from moesifasgi.channel.registry import shipper_options

    given = {} if settings is None else settings
    loaded = Settings.load({**_NOT_ASKED, **given} if isinstance(given, Mapping) else given, os.environ)
    handle = ShipperHandle(loaded.shipper.spool_dir, shipper_options(loaded))
    handle.start()
    _handles.append(handle)
    return handle


def expect() -> None:
    """This process is a master that is to have a shipper, which ``inherited`` may start."""
    # Not by its pid: gunicorn reads its configuration before it becomes a daemon.
    global _is_expected
    _is_expected = True


def inherited() -> ShipperHandle | None:
    """The handle that was made last in this process, or in one that it was forked from."""
    if not _handles and _is_expected:
        start_shipper()
    return _handles[-1] if _handles else None


def _answer(shipper: socket.socket) -> Message:
    shipper.settimeout(ANSWER_TIMEOUT_S)
    decoder = FrameDecoder()
    try:
        while (payload := decoder.next_payload()) is None:
            data = shipper.recv(READ_BYTES)
            if not data:
                raise ConnectionError("the shipper closed the connection")
            decoder.feed(data)
        return decode(payload)
    except ValueError as error:
        raise ConnectionError(f"the other end does not speak this wire: {error}") from error
