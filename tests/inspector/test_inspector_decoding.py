"""Bodies with their encodings: undone, bounded, refused in words."""

import gzip
import zlib

import pytest

from moesifasgi.inspector.decoding import Refused, check_content_type, decompressed, parsed

TEXT = b'{"a": 1}' * 100
GZIPPED = gzip.compress(TEXT, mtime=0)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (None, TEXT),
        ("identity", TEXT),
        ("gzip", GZIPPED),
        ("GZIP", GZIPPED),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", raw_deflate(TEXT)),
    ],
)
def test_every_documented_encoding_is_undone(encoding: str | None, body: bytes) -> None:
    assert decompressed(body, encoding, len(TEXT)) == TEXT


@pytest.mark.parametrize(("encoding", "body"), [(None, TEXT), ("gzip", GZIPPED)])
def test_a_body_one_byte_over_the_limit_is_too_large(encoding: str | None, body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        decompressed(body, encoding, len(TEXT) - 1)
    assert refused.value.status == 413


@pytest.mark.parametrize("body", [b"", b"no gzip", GZIPPED[:-9], GZIPPED + b"more", zlib.compress(TEXT)])
def test_a_damaged_gzip_body_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        decompressed(body, "gzip", 10_000)
    assert refused.value.status == 400


def test_an_unknown_encoding_is_unsupported() -> None:
    with pytest.raises(Refused, match="expected Content-Encoding gzip, deflate or none, got 'br'") as refused:
        decompressed(TEXT, "br", 10_000)
    assert refused.value.status == 415


@pytest.mark.parametrize(
    "said", ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"]
)
def test_json_in_utf_8_is_the_right_content_type(said: str) -> None:
    check_content_type(said)


@pytest.mark.parametrize(
    "said", [None, "", "text/plain", "application/json; charset=latin-1", "application/jsonx"]
)
def test_any_other_content_type_is_unsupported(said: str | None) -> None:
    with pytest.raises(Refused) as refused:
        check_content_type(said)
    assert refused.value.status == 415


@pytest.mark.parametrize("body", [b"", b"{", b'{"a": NaN}', b'"\\ud800"', b"[" * 2000])
def test_what_is_not_strict_json_is_a_bad_request(body: bytes) -> None:
    """B8: the published client sends a bare NaN; a strict collector refuses it."""
    with pytest.raises(Refused, match="expected JSON") as refused:
        parsed(body)
    assert refused.value.status == 400
