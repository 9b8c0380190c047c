"""Messages ↔ payload bytes: a msgpack array whose first element says which message it is.

EVENT is laid out by hand, so that the worker packs its header with one ``struct`` call and the shipper reads
it without decoding (or trusting) what it carries. It is still a legal msgpack array of five:

    0x95  type  kind  key  0xcf sequence(u64)  payload
    array fixint fixint fixint uint64            one msgpack object
"""

import reprlib
import struct
from typing import Any, get_args, get_type_hints

import msgpack

from moesifasgi.wire.frame import MAX_FRAME_BYTES, PREFIX
from moesifasgi.wire.messages import (
    MAX_LETTER_KEYS,
    MAX_REPORT_LINE_CHARS,
    MAX_REPORT_LINES,
    Ack,
    Attach,
    Attached,
    Bye,
    DecideLetters,
    Drain,
    Drained,
    Event,
    Hello,
    Leaving,
    LetterPart,
    Letters,
    LettersDecided,
    ListLetters,
    Message,
    Policy,
    ReadLetter,
    Refused,
    Report,
    Stats,
    StatusReply,
    StatusRequest,
    Supersede,
    TakeOver,
    Welcome,
)

MAX_NUMBER = 2**63
"""Above what a spool can have as a number; it could not even look for it."""
MAX_KEY = 127
"""Applications in one worker process: the key is a msgpack fixint."""
EVENT_HEADER_BYTES = 13
_EVENT_TYPE = 3
_POLICY_TYPE = 5
_EVENT_HEADER = struct.Struct(">BBBBBQ")
_EVENT_FRAME = struct.Struct(">IBBBBBQ")
_POLICY_HEADER = struct.Struct(">BBBBI")
_TYPES: dict[int, type[Any]] = {
    1: Hello,
    2: Welcome,
    _EVENT_TYPE: Event,
    4: Ack,
    _POLICY_TYPE: Policy,
    6: Stats,
    7: Drain,
    8: Drained,
    9: Bye,
    10: Refused,
    11: StatusRequest,
    12: StatusReply,
    13: Report,
    14: TakeOver,
    15: Leaving,
    16: ListLetters,
    17: Letters,
    18: ReadLetter,
    19: LetterPart,
    20: DecideLetters,
    21: LettersDecided,
    22: Attach,
    23: Attached,
    24: Supersede,
}
_CODES = {message: code for code, message in _TYPES.items()}
_CONTROL_LIMITS = {
    "max_str_len": 1 << 20,
    "max_bin_len": MAX_FRAME_BYTES,
    "max_array_len": 4096,
    "max_map_len": 4096,
}


class MalformedMessage(ValueError):
    """The peer sent what this wire does not know; the text says what was expected."""


def encode(message: Message) -> bytes:
    """Any message as payload bytes, without its length prefix."""
    if isinstance(message, Event):
        return event_header(message.kind, message.key, message.sequence) + message.payload
    packed: bytes = msgpack.packb([_CODES[type(message)], *message])
    return packed


def event_header(kind: int, key: int, sequence: int) -> bytes:
    """What stands before an event's own msgpack object; ``EVENT_HEADER_BYTES`` long."""
    return _EVENT_HEADER.pack(0x95, _EVENT_TYPE, kind, key, 0xCF, sequence)


def framed_event(kind: int, key: int, sequence: int, payload: bytes) -> bytes:
    """``frame(encode(Event(...)))`` in one step, for the worker's request path."""
    size = EVENT_HEADER_BYTES + len(payload)
    return _EVENT_FRAME.pack(size, 0x95, _EVENT_TYPE, kind, key, 0xCF, sequence) + payload


def policy_head(key: int, document_bytes: int) -> bytes:
    """What stands before a policy's document in its frame, so that many peers can share one document."""
    header = _POLICY_HEADER.pack(0x93, _POLICY_TYPE, key, 0xC6, document_bytes)
    return PREFIX.pack(len(header) + document_bytes) + header


def decode(payload: bytes, max_control_bytes: int = MAX_FRAME_BYTES) -> Message:
    """One payload as a message. An Event's own payload is left undecoded. Raises MalformedMessage.

    ``max_control_bytes`` bounds all others: a byte of them can become 80 bytes of objects.
    """
    if payload[:2] == b"\x95\x03":
        return _decode_event(payload)
    if len(payload) > max_control_bytes:
        raise MalformedMessage(f"a payload of {len(payload)} bytes that is no event")
    try:
        fields = msgpack.unpackb(payload, **_CONTROL_LIMITS)
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise MalformedMessage(f"a payload is one msgpack array: {type(error).__name__}") from error
    if not isinstance(fields, list) or not fields:
        raise MalformedMessage("a payload is a msgpack array that starts with the message's type")
    message = _TYPES.get(fields[0]) if type(fields[0]) is int else None
    if message is None or message is Event:
        raise MalformedMessage(f"unknown message type {reprlib.repr(fields[0])}")
    return _checked(message, fields[1:])


def _decode_event(payload: bytes) -> Event:
    if len(payload) <= EVENT_HEADER_BYTES:
        raise MalformedMessage(f"an event frame is longer than its header of {EVENT_HEADER_BYTES} bytes")
    _, _, kind, key, marker, sequence = _EVENT_HEADER.unpack_from(payload)
    if marker != 0xCF or kind > MAX_KEY or key > MAX_KEY:
        raise MalformedMessage("an event frame has kind, key and a 64-bit sequence in its header")
    return Event(kind, key, sequence, payload[EVENT_HEADER_BYTES:])


def _checked(message: type[Any], values: list[Any]) -> Message:
    names = message._fields
    # What was added later has a default, which stands for what an older peer does not say.
    required = len(names) - len(message._field_defaults)
    if len(values) < required:
        raise MalformedMessage(f"{message.__name__} has {required} fields, not {len(values)}")
    for name, value, expected in zip(names, values, _FIELD_TYPES[message], strict=False):
        # A bool is an int to isinstance, but not on this wire.
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
            raise MalformedMessage(f"{message.__name__}.{name} is not a {expected.__name__}")
    made: Message = message(*values[: len(names)])
    _check_inside(made)
    return made


def _check_inside(made: Message) -> None:
    if isinstance(made, Stats) and not all(
        isinstance(name, str) and type(number) is int for name, number in made.counters.items()
    ):
        raise MalformedMessage("Stats.counters are numbers by their names")
    if isinstance(made, Report) and (
        len(made.lines) > MAX_REPORT_LINES
        or not all(isinstance(line, str) and len(line) <= MAX_REPORT_LINE_CHARS for line in made.lines)
    ):
        raise MalformedMessage(f"Report.lines are at most {MAX_REPORT_LINES} short texts")
    if isinstance(made, ListLetters | ReadLetter | DecideLetters):
        _check_letters(made)


def _check_letters(made: ListLetters | ReadLetter | DecideLetters) -> None:
    match made:
        case ListLetters(after) if abs(after) >= MAX_NUMBER:
            raise MalformedMessage("ListLetters.after is a number of 64 bits with its sign")
        case ReadLetter(_, sequence, _) if abs(sequence) >= MAX_NUMBER:
            raise MalformedMessage("ReadLetter.sequence is a number of 64 bits with its sign")
        case DecideLetters(_, keys) if len(keys) > MAX_LETTER_KEYS or not all(map(_is_letter_key, keys)):
            raise MalformedMessage(f"DecideLetters.keys are at most {MAX_LETTER_KEYS} sessions and sequences")


def _is_letter_key(key: object) -> bool:
    match key:
        case [bytes(), int(sequence)]:
            return not isinstance(sequence, bool) and abs(sequence) < MAX_NUMBER
        case _:
            return False


def _field_types(message: type[Any]) -> tuple[type, ...]:
    hints = get_type_hints(message)
    return tuple(getattr(hints[name], "__origin__", hints[name]) for name in message._fields)


_FIELD_TYPES = {message: _field_types(message) for message in get_args(Message)}
