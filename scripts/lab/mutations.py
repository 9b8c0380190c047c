"""What a hostile or broken peer may send: a valid conversation with something wrong in it, by a seed."""

import random
from collections.abc import Callable

from moesifasgi.wire.application import Application
from moesifasgi.wire.codec import encode
from moesifasgi.wire.frame import PREFIX, frame
from moesifasgi.wire.messages import Bye, Drain, Event, Hello, Message, Stats, StatusRequest


def conversation(rng: random.Random) -> list[bytes]:
    """A worker's frames, from HELLO to BYE."""
    applications = [Application(f"hostile-{number}").to_wire() for number in range(rng.randint(1, 3))]
    count = rng.randint(1, 8)
    events = [
        Event(rng.randrange(6), 0, number, rng.randbytes(rng.randint(1, 80)))
        for number in range(1, count + 1)
    ]
    messages: list[Message] = [
        Hello(1, 1, rng.randbytes(16), 1, 4711, "0", applications),
        *events,
        Stats(0, 0, {"captured": count}),
        StatusRequest(),
        Drain(1, give_up=True),
        Bye(count),
    ]
    return [frame(encode(message)) for message in messages]


def mutated(rng: random.Random) -> bytes:
    """The bytes of one wrong conversation."""
    return rng.choice(_MUTATIONS)(conversation(rng), rng)


def _flipped(frames: list[bytes], rng: random.Random) -> bytes:
    stream = bytearray(b"".join(frames))
    for _ in range(rng.randint(1, 5)):
        stream[rng.randrange(len(stream))] ^= 1 << rng.randrange(8)
    return bytes(stream)


def _flipped_inside(frames: list[bytes], rng: random.Random) -> bytes:
    """Its frames are whole, what they say is not."""
    number = rng.randrange(len(frames))
    payload = bytearray(frames[number][PREFIX.size :])
    payload[rng.randrange(min(len(payload), 40))] = rng.randrange(256)
    return b"".join([*frames[:number], frame(bytes(payload)), *frames[number + 1 :]])


def _cut(frames: list[bytes], rng: random.Random) -> bytes:
    stream = b"".join(frames)
    return stream[: rng.randrange(len(stream))]


def _shuffled(frames: list[bytes], rng: random.Random) -> bytes:
    return b"".join(rng.choices(frames, k=len(frames) + 3))


def _without_a_byte(frames: list[bytes], rng: random.Random) -> bytes:
    stream, place = b"".join(frames), rng.randrange(60)
    return stream[:place] + stream[place + 1 :]


def _with_noise(frames: list[bytes], rng: random.Random) -> bytes:
    stream = b"".join(frames)
    place = rng.randrange(len(stream))
    return stream[:place] + rng.randbytes(rng.randint(1, 50)) + stream[place:]


def _oversized(frames: list[bytes], rng: random.Random) -> bytes:
    return frames[0] + PREFIX.pack(rng.randrange(1 << 22, 1 << 32)) + rng.randbytes(100)


def _nested(frames: list[bytes], rng: random.Random) -> bytes:
    opening = rng.choice(
        [b"\x91", b"\x81\x01", b"\xdd\x00\x00\x10\x00", b"\xdc\xff\xff", b"\xdf\xff\xff\xff\xff"]
    )
    return b"".join(frames[: rng.randint(0, 2)]) + frame(opening * rng.randint(1, 20_000))


def _of_another_version(frames: list[bytes], rng: random.Random) -> bytes:
    hello = Hello(rng.randint(2, 9), 9, rng.randbytes(16), 1, 1, "9", [])
    return frame(encode(hello)) + b"".join(frames[1:])


_MUTATIONS: list[Callable[[list[bytes], random.Random], bytes]] = [
    _flipped,
    _flipped_inside,
    _cut,
    _shuffled,
    _without_a_byte,
    _with_noise,
    _oversized,
    _nested,
    _of_another_version,
]
