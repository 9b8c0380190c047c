"""Hands over what dead workers left behind, where the shipper does not look for it.

A standalone shipper runs as a user of its own and does not see the files of others. So a worker that is
connected to it takes its dead siblings' files and says what is in them, over a connection of their session.
"""

import select
import threading
import time
from collections import deque
from pathlib import Path

from moesifasgi.channel import Dialer
from moesifasgi.channel.leftovers import Found, found_at
from moesifasgi.channel.link import MAX_BUFFERS, Link, LinkError
from moesifasgi.channel.own_descriptors import keep, let_go
from moesifasgi.quiet import say
from moesifasgi.wire.codec import decode, encode
from moesifasgi.wire.frame import FrameDecoder, frame
from moesifasgi.wire.messages import Ack, Bye, Event, Hello

PATIENCE_S = 30.0
"""Longest time without an acknowledgement; the file is kept then, for another time."""
POLL_S = 0.5
REFUSED_FIRST_S, REFUSED_LONGEST_S = 20.0, 600.0
"""How long a file that was refused is left alone, each time twice as long."""
HELLO_BYTES = 256 * 1024
"""Most often it stands within these; what a shipper refuses for its HELLO is not read whole then."""


class Heir:
    """See the module. ``look`` is for one thread; the work is done on another, which ends with it."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._thread: threading.Thread | None = None
        self._refused: dict[Path, tuple[float, float]] = {}
        """When such a file is tried again, and how long it was left alone for that."""

    def look(self) -> None:
        """Begin to hand over what there is, if there is something, without waiting for it."""
        if self._thread is not None and self._thread.is_alive():
            return
        if paths := self._due(self._dialer.heritage(), time.monotonic()):
            thread = threading.Thread(target=self._hand_over, args=(paths,), name="moesif-heir", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return  # No more threads now; the next look tries again.
            self._thread = thread

    def _due(self, paths: list[Path], now: float) -> list[Path]:
        self._refused = {path: self._refused[path] for path in paths if path in self._refused}
        return [path for path in paths if path not in self._refused or now >= self._refused[path][0]]

    def _refuse(self, path: Path) -> None:
        _, before_s = self._refused.get(path, (0.0, REFUSED_FIRST_S / 2))
        pause_s = min(before_s * 2, REFUSED_LONGEST_S)
        self._refused[path] = time.monotonic() + pause_s, pause_s

    def _hand_over(self, paths: list[Path]) -> None:
        for path in paths:
            try:
                with found_at(path, HELLO_BYTES) as found:
                    if found is not None:
                        self._hand_over_one(found)
            except LinkError as error:
                # This one's affair: a setting that this shipper refuses, say.
                self._refuse(path)
                say("heritage refused", "what a worker left behind is not taken for now: %s", error)
            except OSError as error:
                say("heritage", "what a worker left behind cannot be handed over for now: %s", error)
                return

    def _hand_over_one(self, found: Found) -> None:
        will = _Will(found.content)
        if will.hello is None:
            will = _Will(found.whole())
        if will.hello is not None:
            connected = self._dialer.again()
            keep(connected.fileno())
            try:
                link = Link(connected, will.hello)
                will = _Will(found.whole())
                _say(link, will.frames)
            finally:
                let_go(connected.detach())
        if will.fault is None:
            found.taken()
        else:
            found.damaged(will.fault)


class _Will:
    """What a file says, as far as it can be read."""

    def __init__(self, content: bytes) -> None:
        self.hello: Hello | None = None
        self.frames: deque[tuple[int, bytes]] = deque()
        self.fault: ValueError | None = None
        try:
            self._read(content)
        except ValueError as error:
            self.fault = error

    def _read(self, content: bytes) -> None:
        decoder = FrameDecoder()
        decoder.feed(content)
        while (payload := decoder.next_payload()) is not None:
            message = decode(payload)
            if self.hello is None:
                if not isinstance(message, Hello):
                    raise ValueError("expected HELLO first")
                self.hello = message._replace(bequeathed=True)
            elif isinstance(message, Event):
                self.frames.append((message.sequence, frame(payload)))
            else:
                raise ValueError("expected nothing but events")
        if decoder.buffered_bytes or self.hello is None:
            raise ValueError("the last frame is cut")


def _say(link: Link, frames: "deque[tuple[int, bytes]]") -> None:
    """Say these and wait until they are acknowledged. OSError where they are not."""
    acknowledged = link.welcome.last
    final = frames[-1][0] if frames else acknowledged
    while frames and frames[0][0] <= acknowledged:
        frames.popleft()
    poller, heard_at = select.poll(), time.monotonic()
    poller.register(link)
    messages = link.decoded()
    while acknowledged < final:
        for message in messages:
            if isinstance(message, Ack):
                acknowledged, heard_at = max(acknowledged, message.sequence), time.monotonic()
        if time.monotonic() - heard_at > PATIENCE_S:
            raise TimeoutError(f"no acknowledgement for {PATIENCE_S:g} s")
        if not link.broken and (frames or not link.idle):
            link.write(
                [frames.popleft()[1] for _ in range(min(len(frames), MAX_BUFFERS - 1))] if link.idle else []
            )
        poller.modify(link, select.POLLIN | (select.POLLOUT if frames or not link.idle else 0))
        messages = (
            link.read() if any(ready & ~select.POLLOUT for _, ready in poller.poll(POLL_S * 1000)) else []
        )
    link.write((frame(encode(Bye(final))),))
