"""Differences in bodies, with their reasons; see ``differences``."""

from base64 import b64decode
from typing import Any

from differential.comparison import ABSENT, Difference, same
from differential.reasons import Reason, calls, now, only_ours

_A_1 = {"a": 1}
_C_1 = {"c": 1}
_GREETING = {"name": "Grüße"}
_BIG = "123456789012345678901234567890"
_BODY = r"(request|response)\.(body|transfer_encoding)"


_NOTES: dict[str, dict[str, Any]] = {
    "json-large": {"request_body": {"cut_at_bytes": 100_000, "size_bytes": 150_012}},
    "answer-large": {"response_body": {"cut_at_bytes": 100_000, "size_bytes": 150_012}},
    "gzip-none": {"request_body": {"undecoded": "damaged"}},
    "coding-unknown": {"request_body": {"undecoded": "unknown"}},
    "unread": {"request_body": {"read_bytes": 0}},
}
"""By call: what ``metadata.moesif`` says of its bodies."""


def _is_note(difference: Difference) -> bool:
    return only_ours(difference) and same(difference.ours, {"moesif": _NOTES[difference.call]})


def _is_unread(difference: Difference) -> bool:
    return _is_note(difference) if difference.path == "metadata" else difference.ours == ABSENT


def _is_base64(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(b64decode(value, validate=True))
    except ValueError:
        return False


def _now_base64(difference: Difference) -> bool:
    if difference.path == "metadata":
        return _is_note(difference)
    if difference.path.endswith("transfer_encoding"):
        return difference.published in (None, "json") and difference.ours == "base64"
    return _is_base64(difference.ours)


BODIES = [
    Reason(
        "A request body that the application does not read is not recorded",
        r"request\.(body|transfer_encoding)|metadata",
        "reads each request body to its end before the application runs",
        "what the application has read; `read_bytes` in `metadata.moesif` says that it was less than all",
        "Reading ahead takes the memory and the back-pressure of an upload away from the application (A7).",
        calls("unread"),
        _is_unread,
    ),
    Reason(
        "An answer to HEAD has no body",
        r"response\.(body|transfer_encoding)",
        "what the application gives for it, which no client gets",
        "no body",
        "Servers leave it out of the answer, as they must (RFC 9110).",
        calls("verb-HEAD head-body"),
        lambda each: each.ours == ABSENT,
    ),
    Reason(
        "Long bodies are cut",
        rf"{_BODY}|metadata",
        "a body of any length",
        "the first MAX_BODY_SIZE bytes in base64, and a note in `metadata.moesif`",
        "The collector takes 1 MB an event, and a worker's memory has to have a bound. The setting can be"
        " raised from its 100,000 (A5, Events API).",
        calls("json-large answer-large"),
        _now_base64,
    ),
    Reason(
        "Any JSON value is JSON",
        _BODY,
        "base64, unless the body begins with `{` or `[`",
        "the value, where the body is declared as JSON",
        "A text, a number or null is a JSON document too (RFC 8259).",
        **now(
            json_string="text",
            json_number=42,
            json_null=None,
            answer_string="text",
            answer_number=42,
            answer_null=None,
        ),
    ),
    Reason(
        "JSON may begin with white space",
        _BODY,
        "base64",
        "the value",
        "Leading white space is part of JSON's grammar (A8).",
        **now(json_padded=_A_1, answer_padded=_A_1),
    ),
    Reason(
        "JSON in other encodings",
        _BODY,
        "base64, unless it is UTF-8 without a byte order mark",
        "the value: UTF-8, -16 and -32, and the charset that Content-Type names",
        "Old clients send what their system writes (by design).",
        **now(json_latin1=_GREETING, json_utf16=_A_1, json_bom=_A_1, answer_latin1=_GREETING),
    ),
    Reason(
        "Compressed JSON is JSON",
        _BODY,
        "base64; br is not even decompressed",
        "the value, from gzip, deflate, br and zstd, with a bound on its size",
        "What is compressed on the way is no other document (A8).",
        **now(gzip_json=_C_1, br_json=_C_1, answer_gzip_json=_C_1, answer_br_json=_C_1),
    ),
    Reason(
        "A content coding that cannot be taken off is noted",
        rf"{_BODY}|metadata",
        "the bytes as they came, read as though they had no coding",
        "the bytes as they came in base64, and the reason in `metadata.moesif`",
        "What is in an unknown coding is not what it looks like; where an event shows less than there was,"
        " it says so (by design).",
        calls("gzip-none coding-unknown"),
        _now_base64,
    ),
    Reason(
        "Forms are maps of their fields",
        _BODY,
        "base64",
        "the fields; a repeated one is a list",
        "Fields can be searched and masked, base64 cannot (A12).",
        **now(
            form={"a": "1", "b": "x y z"},
            form_repeated={"a": ["1", "2"], "empty": ""},
            answer_form={"a": ["1", "2"], "b": "x y"},
        ),
    ),
    Reason(
        "Repeated form fields are all kept",
        r"request\.body\.kind",
        "the last one",
        "a list",
        "They were lost (A12).",
        **now(multipart=["a", "b"]),
    ),
    Reason(
        "An uploaded file is described",
        r"request\.body\.upload",
        "its name",
        "`filename`, `content_type` and `size`",
        "Its content is left out by both; a name alone does not say what came (by design).",
        **now(multipart={"filename": "lamp.png", "content_type": "image/png", "size": 5}),
    ),
    Reason(
        "Multipart bodies are never dropped",
        _BODY,
        "nothing for a multipart response, or a multipart request that is damaged",
        "the fields, or base64 where there are none",
        "What a caller did wrong is what one wants to see (by design).",
        calls("answer-multipart multipart-damaged"),
    ),
    Reason(
        "Numbers beyond 64 bits are text",
        r"(request|response)\.body\.id",
        "a number that other programs read as a rounded one",
        "all its digits, as text",
        "Few JSON readers keep more than 64 bits (B8).",
        **now(json_big_number=_BIG, answer_big_number=_BIG),
    ),
    Reason(
        "What is nested too deep is not taken apart",
        _BODY,
        "the value",
        "base64, which keeps it whole",
        "Two hundred levels are an attack on whoever parses them, not data (by design).",
        calls("json-deep"),
        _now_base64,
    ),
]
