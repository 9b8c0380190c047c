"""Everybody who is connected, and what the selector looks for at each of them."""

import selectors
from collections.abc import Iterator

from moesifasgi.shipper.receiver.peer import Peer

MAX_PEERS = 1024
INTRODUCTION_S = 10.0
"""A peer that has said neither HELLO nor asked anything by then is dropped."""
TOOL_IDLE_S = 60.0
"""So long may a tool stay connected without waiting for a drain."""


class Peers:
    """See the module. The selector's data of a peer is the peer."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self.paused = False
        """Workers are not read; what they send waits in the kernel and in their rings."""
        self._selector = selector
        self._all: set[Peer] = set()

    def __iter__(self) -> Iterator[Peer]:
        return iter(list(self._all))

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, peer: Peer) -> bool:
        return peer in self._all

    @property
    def full(self) -> bool:
        return len(self._all) >= MAX_PEERS

    def add(self, peer: Peer) -> None:
        self._all.add(peer)
        self.watch(peer)

    def remove(self, peer: Peer) -> None:
        """End its connection. May be called twice."""
        self._all.discard(peer)
        if peer.watched:
            self._selector.unregister(peer)
            peer.watched = 0
        peer.close()

    def pause(self, paused: bool) -> None:
        """Stop or resume reading."""
        self.paused = paused
        for peer in self._all:
            self.watch(peer)

    def watch(self, peer: Peer) -> None:
        """Have the selector look for what this peer can do now."""
        # Who sends nothing may ask all the same: why it is so, for one.
        paused = self.paused and peer.session is not None
        events = 0 if paused else selectors.EVENT_READ
        if peer.wants_write:
            events |= selectors.EVENT_WRITE
        if peer not in self._all or events == peer.watched:
            return
        if not peer.watched:
            self._selector.register(peer, events, peer)
        elif not events:
            self._selector.unregister(peer)
        else:
            self._selector.modify(peer, events, peer)
        peer.watched = events


def is_lapsed(peer: Peer, now: float) -> bool:
    """Whether it says nothing, or does not read its answers, for longer than it may."""
    patience_s = TOOL_IDLE_S if peer.is_tool else INTRODUCTION_S
    silent = peer.session is None and not peer.drains and now - peer.since > patience_s
    return peer.overdue or silent
