"""Content codings: undone where they can be, never beyond the bound."""

import gzip
import io
import random
import subprocess
import sys
import tracemalloc
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from moesifasgi.event.body import stored_body
from moesifasgi.event.coding import MAX_DECODED_BYTES, MAX_MEMBERS, Undecodable, decoded

TEXT = b'{"name": "widget", "tags": ["a", "b"]}' * 20
RANDOM = random.Random(1).randbytes(50_000)


def zstd_stream(data: bytes) -> bytes:
    """A frame that does not tell its size, as a streaming server makes it."""
    out = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(out, closefd=False) as writer:
        writer.write(data)
    return out.getvalue()


ENCODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=5),
    "zstd": zstd_stream,
}
encoders = pytest.mark.parametrize("coding", ENCODERS)


def reason(body: bytes, coding: str, max_bytes: int = MAX_DECODED_BYTES) -> str:
    with pytest.raises(Undecodable) as caught:
        decoded(body, coding, max_bytes)
    return caught.value.reason


@encoders
@pytest.mark.parametrize("content", [b"", TEXT, RANDOM], ids=["empty", "text", "random"])
def test_every_coding_is_undone(coding, content):
    assert decoded(ENCODERS[coding](content), coding) == content


@encoders
def test_a_compressed_json_body_is_stored_as_json(coding):
    """A8: gzip JSON was stored as base64, and other codings not read at all."""
    body = stored_body(ENCODERS[coding](b'{"a": 1}'), {"content-encoding": coding.upper()})
    assert body is not None
    assert (body.content, body.transfer_encoding, body.undecoded) == ({"a": 1}, "json", None)


@encoders
def test_the_limit_is_exact(coding):
    assert len(decoded(ENCODERS[coding](bytes(1000)), coding, 1000)) == 1000
    assert reason(ENCODERS[coding](bytes(1001)), coding, 1000) == "too_large"


@encoders
def test_a_bomb_costs_only_the_bound(coding):
    """A8: 29 kB with a gzip header became 40 MB in the event and 5 s of a blocked loop."""
    bomb = ENCODERS[coding](bytes(40_000_000))
    assert len(bomb) < 50_000
    tracemalloc.start()
    try:
        assert reason(bomb, coding) == "too_large"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * MAX_DECODED_BYTES


def test_a_bomb_is_stored_undecoded_and_says_so():
    """A8: the expanded body went into the event."""
    body = stored_body(gzip.compress(bytes(40_000_000)), {"content-encoding": "gzip"})
    assert body is not None
    assert body.undecoded == "too_large"
    assert len(body.content) < 60_000


@encoders
def test_a_damaged_or_short_body_is_damaged(coding):
    whole = ENCODERS[coding](RANDOM)
    assert reason(whole[: len(whole) // 2], coding) == "damaged"
    assert reason(b"this is not compressed at all", coding) == "damaged"


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_members_after_one_another_are_one_body(coding):
    encode = ENCODERS[coding]
    assert decoded(encode(b"ab") + encode(b"") + encode(TEXT), coding) == b"ab" + TEXT
    assert reason(encode(b"") * (MAX_MEMBERS + 1), coding) == "too_many"
    assert reason(encode(bytes(600)) * 2, coding, 1000) == "too_large"


def test_a_zstd_window_that_no_browser_would_accept_is_refused():
    parameters = zstandard.ZstdCompressionParameters(window_log=24)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    assert reason(stream.compress(TEXT) + stream.flush(), "zstd") == "damaged"


@pytest.mark.parametrize("bits", range(10, 23))
def test_a_brotli_window_up_to_the_default_of_encoders_is_read(bits):
    assert decoded(brotli.compress(TEXT, quality=5, lgwin=bits), "br") == TEXT


@pytest.mark.parametrize("bits", [23, 24])
def test_a_larger_brotli_window_is_refused(bits):
    """A8: a decoder fills its window before it heeds a bound, so that 150 bytes took 40 ms."""
    assert reason(brotli.compress(TEXT, quality=5, lgwin=bits), "br") == "too_large"


def test_what_follows_a_small_brotli_window_is_not_taken_for_its_size():
    stream = brotli.Compressor(quality=5, lgwin=16)
    flushed_first = stream.flush() + stream.process(TEXT) + stream.finish()
    assert decoded(flushed_first, "br") == TEXT


def test_padding_after_a_gzip_member_is_ignored():
    assert decoded(gzip.compress(TEXT) + bytes(10), "gzip") == TEXT


def test_a_deflate_body_without_its_zlib_wrapper_is_read():
    raw = zlib.compressobj(wbits=-15)
    assert decoded(raw.compress(TEXT) + raw.flush(), "deflate") == TEXT


def test_two_codings_are_undone_last_first():
    assert decoded(brotli.compress(gzip.compress(TEXT)), "gzip, identity, br") == TEXT


def test_three_codings_are_too_many():
    assert reason(TEXT, "gzip, gzip, gzip") == "too_many"


def test_an_unknown_coding_is_left_on():
    assert reason(TEXT, "aes128gcm") == "unknown"


@pytest.mark.parametrize(("coding", "module"), [("br", "brotli"), ("zstd", "zstandard")])
def test_a_coding_whose_library_is_absent_is_left_on(coding, module):
    script = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from moesifasgi.event.body import stored_body\n"
        f"print(stored_body(b'abc', {{'content-encoding': {coding!r}}}).undecoded)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "unknown"


@given(st.binary(max_size=200), st.sampled_from(list(ENCODERS)))
def test_any_bytes_in_any_coding_decode_or_are_undecodable(body, coding):
    try:
        content = decoded(body, coding, 1000)
    except Undecodable:
        return
    assert len(content) <= 1000
