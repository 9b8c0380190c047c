"""One process's session with a shipper: the ring, the link, and the thread that looks after both.

What a request does (``offer``) is: append to the ring, and if nothing waits before it, one non-blocking send.
The thread does all else: it connects (which may start a shipper), introduces the session, resends what is not
acknowledged, sends what the kernel would not take at once, and reads acknowledgements and policy.

One lock guards ring and link; it is held for the length of a list operation or a non-blocking write, never
over a wait. After a fork the child makes a Carrier of its own (see ``unix``); nothing here is shared over it.
"""

import contextlib
import os
import random
import select
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from moesifasgi.channel import Dialer
from moesifasgi.channel import Drained as Outcome
from moesifasgi.channel.drains import Drains
from moesifasgi.channel.heir import Heir
from moesifasgi.channel.keeper import Keeper
from moesifasgi.channel.leftovers import leave_behind
from moesifasgi.channel.link import MAX_BUFFERS, Link, OlderShipper, Outlet
from moesifasgi.channel.policies import Policies
from moesifasgi.channel.queue import LOOK_S, QueueSource, QueueStream
from moesifasgi.counters import Counters
from moesifasgi.quiet import say
from moesifasgi.version import VERSION, is_older
from moesifasgi.wakeup import Wakeup
from moesifasgi.wire.application import Application
from moesifasgi.wire.codec import encode
from moesifasgi.wire.frame import frame
from moesifasgi.wire.messages import (
    OLDEST_WIRE_VERSION,
    WIRE_VERSION,
    Ack,
    Bye,
    Drained,
    Hello,
    Message,
    Policy,
    Report,
    Stats,
)
from moesifasgi.wire.ring import Offer, Ring

_ACCEPTED = Offer.ACCEPTED
STATS_INTERVAL_S = 1.0
BACKOFF_FIRST_S = 0.05
BACKOFF_LONGEST_S = 1.0
"""A shipper that comes back is found within this time."""
HERITAGE_INTERVAL_S = 10.0
"""How often a worker looks for what dead ones left behind."""
STALL_S = 0.1
"""A shipper that takes nothing for so long while something waits is one that does not read."""
SEND_BYTES = 64 * 1024
"""Most bytes of backlog in one write, so that the lock is free again within tens of microseconds."""
PATIENCE_S = 0.7
"""How long a leaving worker waits for a sign of life."""
STARTING_PATIENCE_S = 3.0
"""The same while a shipper is being started, which takes about half a second on an idle machine."""
GOODBYE_S = 0.2
"""How long it then waits for its thread to end; together they are less than 1 s."""


class Carrier:
    """See the module. Constructing it does nothing; the thread begins with ``start`` or the first offer."""

    def __init__(
        self,
        dialer: Dialer,
        applications: Sequence[Application],
        policies: Policies,
        max_events: int,
        max_bytes: int,
        queue: QueueSource | None = None,
    ) -> None:
        """``queue``: what events go through as long as it works; without one, they go over the link."""
        self.session = uuid.uuid4().bytes
        self.pid = os.getpid()
        self.counters = Counters()
        self._dialer = dialer
        self._applications = list(applications)
        self._policies = policies
        self._reported: list[Report] = []
        """What this connection's far end was told of the policies."""
        self._bounds = max_events, max_bytes
        self._ring = Ring(*self._bounds)
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._connected: socket.socket | None = None
        self._link: Link | None = None
        self._outlet: Outlet | None = None
        """Where events go while there is a link: the link itself, or a stream of the queue."""
        self._queue = queue
        self._streams = 0
        self._control: deque[bytes] = deque()
        self._told_stats = b""
        self._drains = Drains()
        self._keeper = Keeper(self._lock, self, lambda: dialer.directory)
        self._heir = Heir(dialer)
        self._last_heard = 0.0
        self._flowing = False
        """The link is up and nothing waits: a frame may be written where it is offered."""
        self._closing = False
        self._start_again_at = 0.0
        self._thread: threading.Thread | None = None
        self._wakeup: Wakeup | None = None

    def offer(self, kind: int, key: int, payload: bytes) -> Offer:
        with self._lock:
            fate = self._ring.offer(kind, key, payload)
            if fate is not _ACCEPTED:
                return fate
            if self._thread is not None and not self._flowing:
                if self._keeper.at_work:
                    self._keeper.add(self._ring.newest)
                return fate
            if self._flowing:
                assert self._outlet is not None
                self._flowing = self._outlet.write_one(self._ring.take_newest())
                if self._flowing:
                    return fate
        # The kernel did not take it all, or there is no thread yet: that is for the thread.
        self.start()
        self._wake()
        return fate

    def start(self) -> None:
        """Begin the thread; later, where the process may have no more threads or descriptors now."""
        with self._lock:
            if self._thread is not None or time.monotonic() < self._start_again_at:
                return
            self._closing = False
            thread = threading.Thread(target=self._run, name="moesif-channel", daemon=True)
            try:
                self._wakeup = Wakeup()
                thread.start()
                self._thread = thread
                return
            except (OSError, RuntimeError) as error:
                self._start_again_at = time.monotonic() + BACKOFF_LONGEST_S
                if self._wakeup is not None:
                    self._wakeup.close()
                self._wakeup = None
                fault = error
        say("no channel thread", "the channel cannot start (%s); events are kept in memory", fault)

    def introduce(self, application: Application) -> None:
        """One more application: the shipper learns of it from a new HELLO, on a new connection."""
        with self._lock:
            self._applications.append(application)
            self._keeper.start_over()
            self._flowing = False
            if self._link is not None:
                self._link.broken = True
        self._wake()

    def drain(self, timeout_s: float, *, give_up: bool) -> Outcome:
        """See ``Channel.drain``. Blocks the calling thread; not for an event loop's."""
        begun = time.monotonic()
        with self._changed:
            if self._thread is None and not len(self._ring):
                return Outcome(delivered=True)
        self.start()
        with self._changed:
            token = self._drains.ask(give_up=give_up)
            self._control.append(self._drains.question(token))
        self._wake()
        with self._changed:
            try:
                return self._await(token, begun, timeout_s, give_up)
            finally:
                self._drains.forget(token)

    def stats(self) -> dict[str, int]:
        with self._lock:
            return {
                **self.counters.snapshot(),
                "ring_events": len(self._ring),
                "ring_bytes": self._ring.bytes,
                "connected": int(self._link is not None),
                "on_queue": int(isinstance(self._outlet, QueueStream)),
            }

    def close(self) -> None:
        with self._lock:
            thread, self._closing = self._thread, True
            handshake = self._connected if self._link is None else None
        if handshake is not None:
            # It may wait long for a shipper that is stopped.
            with contextlib.suppress(OSError):
                handshake.shutdown(socket.SHUT_RDWR)
        self._wake()
        if thread is not None:
            thread.join(timeout=GOODBYE_S)
        self._keeper.end()
        self._leave_behind()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's descriptors; its thread and its locks are not here."""
        if self._connected is not None:
            self._connected.close()
        if self._wakeup is not None:
            self._wakeup.close()
        self._keeper.let_go()
        self._dialer.abandon()

    def unacknowledged(self) -> tuple[Hello, list[bytes]]:
        """For the keeper; lock held."""
        return self._introduction(), self._ring.unacknowledged()

    def bounds(self) -> tuple[int, int, int]:
        """For the keeper; lock held."""
        return self._ring.base, self._ring.next, self._ring.bytes

    def _leave_behind(self) -> None:
        """What nobody took goes to disk: the next shipper is responsible for it then.

        The session ends with it. A process that goes on has a new one, so that what is on disk never looks
        like something that was sent before.
        """
        if not len(self._ring):
            self._keeper.discard()
            return
        try:
            directory = self._dialer.directory
        except OSError as error:
            say("nothing left behind", "%d events stay in this process: %s", len(self._ring), error)
            return
        if directory is not None:
            self._leave_in(directory)

    def _leave_in(self, directory: Path) -> None:
        with self._lock:
            hello, frames = self.unacknowledged()
            self._ring = Ring(*self._bounds)
            self.session = uuid.uuid4().bytes
            self._flowing = False
            if self._link is not None:
                self._link.broken = True
        try:
            leave_behind(directory, hello, frames)
        except OSError as error:
            self.counters.drop("not_left_behind", len(frames))
            say("nothing left behind", "%d events are lost with this worker: %s", len(frames), error)
            self._keeper.let_go()
        else:
            self.counters.add("acked", len(frames))
            self._keeper.discard()

    def _wake(self) -> None:
        wakeup = self._wakeup
        if wakeup is not None:
            wakeup.set()

    def _await(self, token: int, begun: float, timeout_s: float, give_up: bool) -> Outcome:
        """Wait for the answer to a drain; holds the lock between waits."""
        while (answer := self._drains.outcome(token)) is None:
            now = time.monotonic()
            if now - begun >= timeout_s:
                return Outcome(delivered=False, reason=f"not delivered within {timeout_s:g} s")
            silent_s = now - max(begun, self._last_heard)
            patience_s = STARTING_PATIENCE_S if self._dialer.starting else PATIENCE_S
            if give_up and silent_s >= patience_s:
                return Outcome(delivered=False, reason="no shipper answers")
            self._changed.wait(min(0.1, timeout_s))
        return answer

    def _run(self) -> None:
        """The thread: connect, serve until the link breaks, again."""
        backoff_s = BACKOFF_FIRST_S
        while not self._closing:
            with self._lock:
                self._keeper.begin()
            try:
                served = self._connect_and_serve()
            except Exception as error:  # noqa: BLE001  (a fault of ours must not end the thread)
                say("channel fault", "fault in the channel: %r; connecting again", error)
                served = False
            if served:
                backoff_s = BACKOFF_FIRST_S
                continue
            self._pause(backoff_s * (0.5 + random.random() / 2))
            backoff_s = min(backoff_s * 2, BACKOFF_LONGEST_S)
        with self._lock:
            self._thread, wakeup, self._wakeup = None, self._wakeup, None
        if wakeup is not None:
            wakeup.close()

    def _connect_and_serve(self) -> bool:
        """One connection from its beginning to its end; False if there was none."""
        link = self._connect()
        if link is None:
            return False
        try:
            self._serve(link)
        except OSError as error:
            say("lost the shipper", "lost the connection to the shipper (%s); connecting again", error)
        finally:
            self._disconnect(link)
        return True

    def _connect(self) -> Link | None:
        try:
            connected = self._dialer()
        except OSError as error:
            if not self._dialer.starting:
                say("no shipper", "no shipper can be reached (%s); events are kept in memory", error)
            return None
        self._connected = connected
        try:
            with self._lock:
                hello = self._introduction()
            link = Link(connected, hello)
            with self._changed:
                self._resume(link)
                # One that was registered meanwhile is in no HELLO yet.
                link.broken = len(self._applications) != len(hello.applications)
            if is_older(link.welcome.sdk_version):
                self._dialer.supersede()
            return link
        except OSError as error:
            connected.close()
            if isinstance(error, OlderShipper):
                self._dialer.supersede()
            say("no welcome", "no shipper would serve this worker (%s); events are kept in memory", error)
            return None

    def _introduction(self) -> Hello:
        applications = [application.to_wire() for application in self._applications]
        base = self._ring.base
        return Hello(OLDEST_WIRE_VERSION, WIRE_VERSION, self.session, base, self.pid, VERSION, applications)

    def _resume(self, link: Link) -> None:
        try:
            self.counters.add("acked", self._ring.resume(link.welcome.last))
        except ValueError as error:
            # The spool knows another session by our name: begin a new one with what is not acknowledged.
            self.session = uuid.uuid4().bytes
            self._keeper.start_over()
            raise ConnectionError(str(error)) from error
        self._control = deque(self._drains.unanswered())
        self._reported = []
        self._link = link
        self._outlet = self._stream() or link
        self._last_heard = time.monotonic()
        self._changed.notify_all()

    def _stream(self) -> QueueStream | None:
        writer = self._queue.writer if self._queue is not None else None
        if writer is None:
            return None
        self._streams += 1
        return QueueStream(writer, self.session, self._streams)

    def _serve(self, link: Link) -> None:
        assert self._wakeup is not None
        longest_s = LOOK_S if isinstance(self._outlet, QueueStream) else STATS_INTERVAL_S
        poller = select.poll()
        poller.register(self._wakeup, select.POLLIN)
        self._heard(link.decoded())
        next_stats = next_look = time.monotonic()
        while not self._closing and not link.broken:
            if time.monotonic() >= next_stats:
                next_stats = time.monotonic() + STATS_INTERVAL_S
                self._report()
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + HERITAGE_INTERVAL_S
                self._heir.look()
            waiting = self._pump(link)
            self._look_out(poller, link, waiting=waiting)
            wait_s = STALL_S if waiting else max(0.0, next_stats - time.monotonic())
            ready = poller.poll(min(longest_s, wait_s) * 1000)
            if waiting and not ready:
                with self._lock:
                    self._keeper.begin()
            for descriptor, _ in ready:
                if descriptor == self._wakeup.fileno():
                    self._wakeup.clear()
                elif descriptor == link.fileno():
                    self._heard(link.read())

    def _look_out(self, poller: select.poll, link: Link, *, waiting: bool) -> None:
        """Have the poller tell what comes, and when there is room for what waits."""
        outlet = self._outlet
        if isinstance(outlet, QueueStream):
            self._look_after_queue(outlet)
            events_wait = not outlet.idle or self._ring.has_unsent
            poller.register(outlet, select.POLLOUT if events_wait else 0)
            waiting = not link.idle
        poller.register(link, select.POLLIN | (select.POLLOUT if waiting else 0))

    def _look_after_queue(self, stream: QueueStream) -> None:
        """Leave a queue that does not work, for good: ConnectionError; the next link takes the events."""
        with self._lock:
            base, held = self._ring.base, len(self._ring)
        if fault := stream.fault(base, held, time.monotonic()):
            self._queue = None
            say("queue left", "the queue to the shipper does not work (%s); events go over its socket", fault)
            raise ConnectionError("the queue was left")

    def _report(self) -> None:
        stats = self.stats()
        said: list[Message] = [Stats(stats["ring_events"], stats["ring_bytes"], self.counters.snapshot())]
        reports = self._policies.reports()
        said += [report for report in reports if report not in self._reported]
        self._reported = reports
        framed = [frame(encode(message)) for message in said]
        with self._lock:
            # Of what it counts only the newest is worth telling, to one that does not read for a while.
            with contextlib.suppress(ValueError):
                self._control.remove(self._told_stats)
            self._told_stats = framed[0]
            self._control += framed

    def _pump(self, link: Link) -> bool:
        """Write what waits, as much as the kernel takes; True if more waits. Control follows the events."""
        with self._lock:
            outlet, ring = self._outlet, self._ring
            assert outlet is not None
            frames = ring.take(SEND_BYTES, MAX_BUFFERS) if outlet.idle else []
            if frames or not outlet.idle:
                outlet.write(frames)
            if outlet.idle and not ring.has_unsent and (self._control or not link.idle):
                link.write(tuple(self._control))
                self._control.clear()
            self._flowing = outlet.idle and link.idle and not ring.has_unsent and not self._control
            if self._flowing and self._keeper.at_work:
                self._keeper.rest()
            return not self._flowing

    def _heard(self, messages: Sequence[Message]) -> None:
        with self._changed:
            self._last_heard = time.monotonic()
            for message in messages:
                if isinstance(message, Ack):
                    self._acknowledged(message.sequence)
                elif isinstance(message, Drained):
                    self._drains.answer(message)
            self._changed.notify_all()
        # Not under the lock: who hears of a policy may take long over it.
        for message in messages:
            if isinstance(message, Policy):
                self._policies.take(message.key, message.document)

    def _acknowledged(self, sequence: int) -> None:
        try:
            self.counters.add("acked", self._ring.acknowledge(sequence))
        except ValueError as error:
            raise ConnectionError(str(error)) from error

    def _disconnect(self, link: Link) -> None:
        with self._changed:
            self._link, self._outlet, self._flowing = None, None, False
            if self._closing and not len(self._ring) and link.idle:
                link.write((frame(encode(Bye(self._ring.next - 1))),))
            link.close()
            self._changed.notify_all()

    def _pause(self, seconds: float) -> None:
        assert self._wakeup is not None
        poller = select.poll()
        poller.register(self._wakeup, select.POLLIN)
        if poller.poll(seconds * 1000):
            self._wakeup.clear()
