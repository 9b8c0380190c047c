"""What one peer is to be told and the kernel has not taken yet. No socket in here.

Answers go out in their order. A policy can be large and only the newest counts, so of each application one
waits at most, as a reference to bytes that all peers share; it begins when no answer waits, and is finished
once it has begun.
"""

from collections.abc import Sequence

from moesifasgi.wire.codec import encode, policy_head
from moesifasgi.wire.frame import frame
from moesifasgi.wire.messages import Message

MAX_ANSWER_BYTES = 64 * 1024
"""Answers that may wait beyond what the kernel holds: thousands of acks, or one of any size (a status)."""


class Outbox:
    """Bounded but for the answers: see ``overfull``."""

    def __init__(self) -> None:
        self._answers = b""
        self._allowed_bytes = MAX_ANSWER_BYTES
        self._policy: list[memoryview] = []
        """What is left of the policy that has begun."""
        self._policies: dict[int, bytes] = {}

    @property
    def empty(self) -> bool:
        return not (self._answers or self._policy or self._policies)

    @property
    def overfull(self) -> bool:
        """More waits than may, beside policies: what a peer causes by asking, and has to read."""
        return len(self._answers) > self._allowed_bytes

    def answer(self, message: Message) -> None:
        framed = frame(encode(message))
        if not self._answers:
            self._allowed_bytes = max(MAX_ANSWER_BYTES, len(framed))
        self._answers += framed

    def policy(self, key: int, document: bytes) -> None:
        """In place of one that waits for this key and has not begun."""
        self._policies[key] = document

    def next_buffers(self) -> Sequence[bytes | memoryview]:
        """What is to be written next; empty if there is nothing."""
        if not self._policy and not self._answers and self._policies:
            key = next(iter(self._policies))
            document = self._policies.pop(key)
            self._policy = [memoryview(policy_head(key, len(document))), memoryview(document)]
        return self._policy or ([self._answers] if self._answers else [])

    def wrote(self, size: int) -> None:
        """The kernel took so many bytes of ``next_buffers``."""
        if not self._policy:
            self._answers = self._answers[size:]
            return
        while self._policy and size >= len(self._policy[0]):
            size -= len(self._policy.pop(0))
        if self._policy:
            self._policy[0] = self._policy[0][size:]
