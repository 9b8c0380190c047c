"""Messages as bytes and back, and nothing but MalformedMessage for whatever else a peer may send."""

from contextlib import suppress
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moesifasgi.wire.codec import (
    EVENT_HEADER_BYTES,
    MAX_KEY,
    MalformedMessage,
    decode,
    encode,
    event_header,
    policy_head,
)
from moesifasgi.wire.frame import MAX_FRAME_BYTES
from moesifasgi.wire.messages import (
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

U64 = st.integers(0, 2**64 - 1)
TEXT = st.text(max_size=20)
COUNTERS = st.dictionaries(TEXT, U64, max_size=4)
I63 = st.integers(0, 2**63 - 1)
LETTER_KEY = st.tuples(st.binary(max_size=16), I63).map(list)
DOCUMENT = st.dictionaries(
    TEXT, st.none() | st.booleans() | U64 | TEXT | st.lists(TEXT, max_size=3), max_size=4
)
MESSAGES: dict[type[Any], st.SearchStrategy[Any]] = {
    Hello: st.builds(Hello, U64, U64, st.binary(max_size=16), U64, U64, TEXT, st.lists(DOCUMENT, max_size=3)),
    Welcome: st.builds(Welcome, U64, U64, U64, TEXT),
    Event: st.builds(Event, st.integers(0, 127), st.integers(0, 127), U64, DOCUMENT.map(msgpack.packb)),
    Ack: st.builds(Ack, U64),
    Policy: st.builds(Policy, U64, st.binary(max_size=20)),
    Stats: st.builds(Stats, U64, U64, COUNTERS),
    Report: st.builds(Report, U64, st.lists(TEXT, max_size=3)),
    Drain: st.builds(Drain, U64, st.booleans()),
    Drained: st.builds(Drained, U64, st.booleans(), TEXT),
    Bye: st.builds(Bye, U64),
    Refused: st.builds(Refused, TEXT, U64),
    Supersede: st.builds(Supersede, TEXT),
    StatusRequest: st.builds(StatusRequest),
    StatusReply: st.builds(StatusReply, DOCUMENT),
    TakeOver: st.builds(TakeOver),
    Leaving: st.builds(Leaving, U64),
    ListLetters: st.builds(ListLetters, I63),
    Letters: st.builds(Letters, st.lists(DOCUMENT, max_size=3)),
    ReadLetter: st.builds(ReadLetter, st.binary(max_size=16), I63, U64),
    LetterPart: st.builds(LetterPart, U64, st.binary(max_size=20)),
    DecideLetters: st.builds(DecideLetters, st.booleans(), st.lists(LETTER_KEY, max_size=3)),
    LettersDecided: st.builds(LettersDecided, U64),
    Attach: st.builds(Attach),
    Attached: st.builds(Attached, U64),
}
ONE_OF_EACH = [
    Hello(1, 1, b"s" * 16, 1, 7, "2.0", [{"application_id": "a"}]),
    Welcome(1, 0, 7, "2.0"),
    Ack(3),
    Policy(0, b"\x80"),
    Stats(1, 2, {"acked": 3}),
    Report(0, ["rule r1 is parked"]),
    Drain(1, True),
    Drained(1, False, "why"),
    Bye(9),
    Refused("no", 1),
    Supersede("2.0"),
    StatusReply({}),
    Leaving(7),
    ListLetters(0),
    Letters([]),
    ReadLetter(b"s" * 16, 1, 0),
    LetterPart(1, b"x"),
    DecideLetters(True, [[b"s" * 16, 1]]),
    LettersDecided(1),
    Attached(7),
]


def test_every_message_has_a_strategy_here():
    assert set(MESSAGES) == set(Message.__args__)


@given(st.one_of(*MESSAGES.values()))
def test_every_message_survives_the_wire(message: Message):
    assert decode(encode(message)) == message


@given(MESSAGES[Event])
def test_an_event_frame_is_legal_msgpack_as_a_whole(event: Event):
    content = msgpack.unpackb(event.payload)

    assert msgpack.unpackb(encode(event)) == [3, event.kind, event.key, event.sequence, content]


def test_an_event_header_has_the_length_that_the_ring_counts_on():
    assert len(event_header(5, MAX_KEY, 2**64 - 1)) == EVENT_HEADER_BYTES


@given(st.binary(max_size=200))
@example(b"")
@example(b"\x95\x03")
@example(b"\x95\x03\x00\x00\xcf" + bytes(8))
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xc6\xff\xff\xff\xff")
@example(b"\x92\x04\xc7\x05\xff" + bytes(5))
@example(msgpack.packb([4, 1]) + b"more")
def test_any_bytes_are_a_message_or_malformed(payload: bytes):
    with suppress(MalformedMessage):
        decode(payload)


@given(st.integers(0, 13), st.binary(max_size=100))
def test_bytes_that_begin_like_a_message_are_one_or_malformed(code: int, rest: bytes):
    for head in (0x91, 0x92, 0x94, 0x95, 0x98):
        with suppress(MalformedMessage):
            decode(bytes([head, code]) + rest)


ARBITRARY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | TEXT | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)


@given(st.integers(1, 13), st.lists(ARBITRARY, max_size=8))
def test_fields_of_any_type_make_a_message_that_encodes_or_are_malformed(code: int, fields: list[Any]):
    try:
        decoded = decode(msgpack.packb([code, *fields]))
    except MalformedMessage:
        return
    assert decode(encode(decoded)) == decoded


@pytest.mark.parametrize("message", ONE_OF_EACH, ids=lambda message: type(message).__name__)
def test_a_field_of_a_wrong_type_is_malformed(message: Any):
    code, *fields = msgpack.unpackb(encode(message))
    for index, name in enumerate(type(message)._fields):
        for wrong in (None, 1.5, [[]] if not isinstance(fields[index], list) else {}):
            changed = [code, *fields[:index], wrong, *fields[index + 1 :]]
            with pytest.raises(MalformedMessage, match=name):
                decode(msgpack.packb(changed))


@pytest.mark.parametrize("message", ONE_OF_EACH, ids=lambda message: type(message).__name__)
def test_a_message_cut_short_is_malformed_and_a_longer_one_is_a_newer_peers(message: Any):
    whole = msgpack.unpackb(encode(message))
    added = type(message)._field_defaults

    with pytest.raises(MalformedMessage, match="fields"):
        decode(msgpack.packb(whole[: -1 - len(added)]))
    if added:
        assert decode(msgpack.packb(whole[: -len(added)])) == message._replace(**added)
    assert decode(msgpack.packb([*whole, "added later"])) == message


@pytest.mark.parametrize("fields", [[4, True], [7, 1, 1], [7, True, True], [True, 1, 1, b"", 1, 1, "", []]])
def test_a_bool_is_no_int_and_an_int_no_bool(fields: list[Any]):
    with pytest.raises(MalformedMessage):
        decode(msgpack.packb(fields))


@pytest.mark.parametrize("depth", [500, 511, 512, 5_000, 1_000_000])
@pytest.mark.parametrize("where", ["outside", "type", "field"])
def test_nesting_of_any_depth_is_malformed(depth: int, where: str):
    nested = b"\x91" * depth + b"\xc0"
    payload = {"outside": nested, "type": b"\x92" + nested + b"\xc0", "field": b"\x92\x04" + nested}[where]

    with pytest.raises(MalformedMessage):
        decode(payload)


@pytest.mark.parametrize("code", [0, 3, 25, 127, -1, 2**63])
def test_an_unknown_type_is_malformed(code: int):
    with pytest.raises(MalformedMessage, match="unknown message type"):
        decode(msgpack.packb([code, 1]))


def test_what_is_said_of_an_unknown_type_is_short_however_long_it_is():
    with pytest.raises(MalformedMessage) as caught:
        decode(msgpack.packb([["x" * 1_000_000] * 4, 1]))

    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "payload",
    [
        event_header(0, 0, 1),
        b"\x95\x03\x80\x00\xcf" + bytes(8) + b"\xc0",
        b"\x95\x03\x00\x80\xcf" + bytes(8) + b"\xc0",
        b"\x95\x03\x00\x00\xce" + bytes(8) + b"\xc0",
    ],
    ids=["no payload", "kind", "key", "sequence"],
)
def test_a_damaged_event_header_is_malformed(payload: bytes):
    with pytest.raises(MalformedMessage):
        decode(payload)


@pytest.mark.parametrize(
    "counters", [{"acked": "many"}, {"acked": True}, {"acked": {"deep": 1}}, {b"acked": 1}]
)
def test_counters_are_numbers_by_name(counters: dict[Any, Any]):
    with pytest.raises(MalformedMessage, match="counters"):
        decode(msgpack.packb([6, 1, 1, counters]))


@pytest.mark.parametrize(
    "lines",
    [[b"bytes"], [["deep"]], ["x"] * (MAX_REPORT_LINES + 1), ["x" * (MAX_REPORT_LINE_CHARS + 1)]],
    ids=["bytes", "deep", "many", "long"],
)
def test_a_report_is_a_few_short_texts(lines: list[Any]):
    with pytest.raises(MalformedMessage, match="lines"):
        decode(msgpack.packb([13, 0, lines]))


@pytest.mark.parametrize("size", [0, 1, 300, MAX_FRAME_BYTES - 8])
def test_a_policy_may_be_written_in_two_pieces(size: int):
    document = b"x" * size
    framed = policy_head(5, size) + document

    assert decode(framed[4:]) == Policy(5, document)
    assert int.from_bytes(framed[:4], "big") == len(framed) - 4 <= MAX_FRAME_BYTES


def test_only_an_event_may_be_larger_than_what_a_receiver_takes_of_other_messages():
    event, stats = Event(0, 0, 1, msgpack.packb("x" * 1_000)), encode(Stats(1, 2, {"acked": 3}))

    assert decode(encode(event), max_control_bytes=100) == event
    assert isinstance(decode(stats, max_control_bytes=len(stats)), Stats)
    with pytest.raises(MalformedMessage, match="no event"):
        decode(stats, max_control_bytes=len(stats) - 1)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ([16, 2**63], "ListLetters.after"),
        ([18, b"s" * 16, 2**63, 0], "ReadLetter.sequence"),
        ([20, True, [[b"s" * 16, 2**63]]], "DecideLetters.keys"),
        ([20, True, [[b"s" * 16, True]]], "DecideLetters.keys"),
        ([20, True, [["s" * 16, 1]]], "DecideLetters.keys"),
        ([20, True, [[b"s" * 16]]], "DecideLetters.keys"),
        ([20, True, [7]], "DecideLetters.keys"),
        ([20, True, [[b"s" * 16, 1]] * 1001], "DecideLetters.keys"),
    ],
)
def test_a_question_about_dead_letters_that_no_spool_could_answer_is_malformed(question: list, expected: str):
    with pytest.raises(MalformedMessage, match=expected):
        decode(msgpack.packb(question))
