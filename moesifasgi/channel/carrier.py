"""One process's session with a shipper, and the thread that looks after it.

What a request does (``offer``) is: append to the ring, and if nothing waits before it, one non-blocking send.
The thread does all else: it connects (which may start a shipper), introduces the session, resends what is not
acknowledged, sends what the kernel would not take at once, and reads acknowledgements and policy.

One lock guards session and outflow; it is held for the length of a list operation or a non-blocking write,
never over a wait. After a fork the child makes a Carrier of its own (see ``unix``); nothing here is shared
over it.
"""

import contextlib
import os
import random
import select
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from moesifasgi.channel import Dialer
from moesifasgi.channel import Drained as Outcome
from moesifasgi.channel.channel_thread import ChannelThread, Lookout
from moesifasgi.channel.control import Control
from moesifasgi.channel.drains import Drains, Patience
from moesifasgi.channel.heir import Heir
from moesifasgi.channel.keeper import Keeper
from moesifasgi.channel.leftovers import leave_behind
from moesifasgi.channel.link import Link, OlderShipper
from moesifasgi.channel.outflow import Outflow
from moesifasgi.channel.policies import Policies
from moesifasgi.channel.queue import LOOK_S, QueueSource, QueueStream
from moesifasgi.channel.session import Session
from moesifasgi.channel.spawn import reap_orphans
from moesifasgi.counters import Counters
from moesifasgi.quiet import say
from moesifasgi.version import is_older
from moesifasgi.wire.application import Application
from moesifasgi.wire.codec import encode
from moesifasgi.wire.frame import frame
from moesifasgi.wire.messages import Ack, Bye, Drained, Message, Policy, Stats
from moesifasgi.wire.ring import Offer

_ACCEPTED = Offer.ACCEPTED
STATS_INTERVAL_S = 1.0
BACKOFF_FIRST_S = 0.05
BACKOFF_LONGEST_S = 1.0
"""A shipper that comes back is found within this time."""
FRUITLESS_S = 0.1
"""Longest wait after a connection that came to nothing: one who closes over a frame of ours, say."""
HERITAGE_INTERVAL_S = 10.0
"""How often a worker looks for what dead ones left behind, and reaps what took its time to leave."""
STALL_S = 0.1
"""A shipper that takes nothing for so long while something waits is one that does not read."""
GOODBYE_S = 0.2
"""How long a closing worker waits for its thread to end, after a drain's patience: together less than 1 s."""


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
        self.pid = os.getpid()
        self.session = Session(self.pid, applications, max_events, max_bytes)
        self.counters = Counters()
        self._dialer = dialer
        self._policies = policies
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._connected: socket.socket | None = None
        self._control = Control()
        self._out = Outflow(self.session, self._control, queue)
        self._drains = Drains()
        self._keeper = Keeper(self._lock, self.session, lambda: dialer.directory, dialer.left_bounds)
        self._heir = Heir(dialer)
        self._last_heard = 0.0
        self._closing = False
        self._thread = ChannelThread(self._run)

    def offer(self, kind: int, key: int, payload: bytes) -> Offer:
        with self._lock:
            fate = self.session.ring.offer(kind, key, payload)
            if fate is not _ACCEPTED:
                return fate
            if self._out.flowing:
                if self._out.write_newest():
                    return fate
            elif self._thread.has_begun:
                if self._keeper.at_work:
                    self._keeper.add(self.session.ring.newest)
                return fate
        # The kernel did not take it all, or there is no thread yet: that is for the thread.
        self.start()
        self._thread.wake()
        return fate

    def start(self) -> None:
        """Begin the thread; later, where the process may have no more threads or descriptors now."""
        with self._lock:
            if not self._thread.may_begin:
                return
            self._closing = False
            fault = self._thread.begin()
        if fault is not None:
            say("no channel thread", "the channel cannot start (%s); events are kept in memory", fault)

    def introduce(self, application: Application) -> None:
        """One more application: the shipper learns of it from a new HELLO, on a new connection."""
        with self._lock:
            self.session.applications.append(application)
            self._keeper.start_over()
            self._out.interrupt()
        self._thread.wake()

    def drain(self, timeout_s: float, *, give_up: bool) -> Outcome:
        """See ``Channel.drain``. Blocks the calling thread; not for an event loop's."""
        patience = Patience(time.monotonic(), timeout_s, give_up)
        with self._changed:
            if not self._thread.has_begun and not len(self.session.ring):
                return Outcome(delivered=True)
        self.start()
        with self._changed:
            token = self._drains.ask(give_up=give_up)
            self._control.ask(self._drains.question(token))
        self._thread.wake()
        with self._changed:
            try:
                return self._await(token, patience)
            finally:
                self._drains.forget(token)

    def stats(self) -> dict[str, int]:
        with self._lock:
            return {
                **self.counters.snapshot(),
                "ring_events": len(self.session.ring),
                "ring_bytes": self.session.ring.bytes,
                "connected": int(self._out.link is not None),
                "on_queue": int(self._out.stream is not None),
            }

    def close(self) -> None:
        with self._lock:
            self._closing = True
            handshake = self._connected if self._out.link is None else None
        if handshake is not None:
            # It may wait long for a shipper that is stopped.
            with contextlib.suppress(OSError):
                handshake.shutdown(socket.SHUT_RDWR)
        self._thread.wake()
        self._thread.join(GOODBYE_S)
        self._keeper.end()
        self._leave_behind()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's descriptors; its thread and its locks are not here."""
        if self._connected is not None:
            self._connected.close()
        self._thread.ended()
        self._keeper.let_go()
        self._dialer.abandon()

    def _leave_behind(self) -> None:
        """What nobody took goes to disk: the next shipper is responsible for it then.

        The session ends with it. A process that goes on has a new one, so that what is on disk never looks
        like something that was sent before.
        """
        if not len(self.session.ring):
            self._keeper.discard()
            return
        try:
            directory = self._dialer.directory
        except OSError as error:
            held = len(self.session.ring)
            say("nothing left behind", "%d events stay in this process: %s", held, error)
            return
        if directory is not None:
            self._leave_in(directory)

    def _leave_in(self, directory: Path) -> None:
        with self._lock:
            hello, frames = self.session.unacknowledged()
            self.session.begin_anew()
            self._out.interrupt()
        try:
            leave_behind(directory, hello, frames, self._dialer.left_bounds)
        except OSError as error:
            kept = min(max(0, self._keeper.covers() - hello.base), len(frames))
            lost = len(frames) - kept
            self.counters.add("acked", kept)
            self.counters.drop("not_left_behind", lost)
            say("nothing left behind", "%d events are lost with this worker: %s", lost, error)
            self._keeper.let_go()
        else:
            self.counters.add("acked", len(frames))
            self._keeper.discard()

    def _await(self, token: int, patience: Patience) -> Outcome:
        """Wait for the answer to a drain; holds the lock between waits."""
        while (answer := self._drains.outcome(token)) is None:
            starting = self._dialer.starting
            verdict = patience.verdict(time.monotonic(), self._last_heard, starting=starting)
            if verdict is not None:
                return verdict
            self._changed.wait(min(0.1, patience.timeout_s))
        return answer

    def _run(self) -> None:
        """The thread: connect, serve until the link breaks, again."""
        backoff_s = BACKOFF_FIRST_S
        while not self._closing:
            with self._lock:
                self._keeper.begin()
            try:
                longest_s = self._connect_and_serve()
            except Exception as error:  # noqa: BLE001  (a fault of ours must not end the thread)
                say("channel fault", "fault in the channel: %r; connecting again", error)
                longest_s = BACKOFF_LONGEST_S
            if not longest_s:
                backoff_s = BACKOFF_FIRST_S
                continue
            self._thread.lookout().sleep(min(backoff_s, longest_s) * (0.5 + random.random() / 2))
            backoff_s = min(backoff_s * 2, longest_s)
        self._dialer.leave_off()
        with self._lock:
            self._thread.ended()

    def _connect_and_serve(self) -> float:
        """One connection from its beginning to its end; returns the longest wait before the next one."""
        base = self.session.ring.base
        link = self._connect()
        if link is None:
            return BACKOFF_LONGEST_S
        began = time.monotonic()
        try:
            self._serve(link)
        except OSError as error:
            say("lost the shipper", "lost the connection to the shipper (%s); connecting again", error)
        finally:
            self._disconnect(link)
        worked = self.session.ring.base > base or time.monotonic() - began >= BACKOFF_LONGEST_S
        return 0.0 if worked else FRUITLESS_S

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
                hello = self.session.introduction()
            link = Link(connected, hello)
            with self._changed:
                self._resume(link)
                # One that was registered meanwhile is in no HELLO yet.
                link.broken = len(self.session.applications) != len(hello.applications)
            if is_older(link.welcome.sdk_version):
                self._dialer.supersede()
            return link
        except OSError as error:
            connected.close()
            if isinstance(error, OlderShipper):
                self._dialer.supersede()
            say("no welcome", "no shipper would serve this worker (%s); events are kept in memory", error)
            return None

    def _resume(self, link: Link) -> None:
        try:
            self.counters.add("acked", self.session.ring.resume(link.welcome.last))
        except ValueError as error:
            # The spool knows another session by our name: begin a new one with what is not acknowledged.
            self.session.rename()
            self._keeper.start_over()
            raise ConnectionError(str(error)) from error
        self._control.start_over(self._drains.unanswered())
        self._out.open(link)
        self._last_heard = time.monotonic()
        self._changed.notify_all()

    def _serve(self, link: Link) -> None:
        longest_s = STATS_INTERVAL_S if self._out.stream is None else LOOK_S
        lookout = self._thread.lookout()
        self._heard(link.decoded())
        next_stats = next_look = time.monotonic()
        while not self._closing and not link.broken:
            if time.monotonic() >= next_stats:
                next_stats = time.monotonic() + STATS_INTERVAL_S
                self._report()
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + HERITAGE_INTERVAL_S
                self._heir.look()
                reap_orphans()
            waiting = self._pump()
            self._watch(lookout, link, waiting=waiting)
            wait_s = STALL_S if waiting else max(0.0, next_stats - time.monotonic())
            ready = lookout.sleep(min(longest_s, wait_s))
            if waiting and not ready:
                with self._lock:
                    self._keeper.begin()
            if link.fileno() in ready:
                self._heard(link.read())

    def _watch(self, lookout: Lookout, link: Link, *, waiting: bool) -> None:
        """Have the lookout tell what comes, and when there is room for what waits."""
        stream = self._out.stream
        if stream is not None:
            self._look_after_queue(stream)
            events_wait = not stream.idle or self.session.ring.has_unsent
            lookout.watch(stream, select.POLLOUT if events_wait else 0)
            waiting = not link.idle
        lookout.watch(link, select.POLLIN | (select.POLLOUT if waiting else 0))

    def _look_after_queue(self, stream: QueueStream) -> None:
        """Leave a queue that does not work: ConnectionError; the next link takes the events."""
        with self._lock:
            base, held = self.session.ring.base, len(self.session.ring)
        if fault := stream.fault(base, held, time.monotonic()):
            self._out.leave_queue()
            say("queue left", "the queue to the shipper does not work (%s); events go over its socket", fault)
            raise ConnectionError("the queue was left")

    def _report(self) -> None:
        stats = self.stats()
        told = Stats(stats["ring_events"], stats["ring_bytes"], self.counters.snapshot())
        news = self._control.news(told, self._policies.reports())
        with self._lock:
            self._control.tell(news)

    def _pump(self) -> bool:
        """Write what waits, as much as the kernel takes; True if more waits."""
        with self._lock:
            waiting = self._out.pump()
            if not waiting and self._keeper.at_work:
                self._keeper.rest()
            return waiting

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
            self.counters.add("acked", self.session.ring.acknowledge(sequence))
        except ValueError as error:
            raise ConnectionError(str(error)) from error

    def _disconnect(self, link: Link) -> None:
        with self._changed:
            self._out.close()
            if self._closing and not len(self.session.ring) and link.idle:
                link.write((frame(encode(Bye(self.session.ring.next - 1))),))
            link.close()
            self._changed.notify_all()
