"""Compression: what goes in comes out, and nothing larger than allowed does."""

import gzip
import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab.corpus import orders

from moesifasgi.shipper.compression import compress, decompress, gzip_bytes
from moesifasgi.shipper.payload import encode_item, pack
from moesifasgi.wire.messages import Kind


@given(st.binary(max_size=2_000))
def test_what_was_compressed_comes_back(data: bytes) -> None:
    assert decompress(compress(data), len(data)) == data


def test_the_standard_library_reads_both_forms_and_is_read() -> None:
    data = os.urandom(100) * 50
    assert zlib.decompress(compress(data)) == data
    assert gzip.decompress(gzip_bytes(data)) == data
    assert decompress(zlib.compress(data), 5_000) == data


def test_a_body_is_the_same_each_time_it_is_compressed() -> None:
    assert gzip_bytes(b"payload")[4:8] == b"\0\0\0\0"


@pytest.mark.parametrize("batch_size", [25, 200])
def test_an_upload_is_as_small_as_the_published_package_makes_it(batch_size: int) -> None:
    """P12: that one uses gzip's highest level, which takes five times as long."""
    body = pack([encode_item(Kind.RECORD, payload) for _, payload in orders(batch_size)])
    assert len(gzip_bytes(body)) <= 1.02 * len(gzip.compress(body, 9))


def test_a_bomb_is_cut_at_the_limit() -> None:
    """A8: decompression without a limit."""
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        decompress(zlib.compress(bytes(50_000_000)), 1_000)


@pytest.mark.parametrize("cut", [0, 1, 2, 10, -1])
def test_a_cut_stream_is_refused(cut: int) -> None:
    with pytest.raises(ValueError, match="zlib stream"):
        decompress(compress(os.urandom(100))[:cut], 1_000)


def test_what_was_never_compressed_is_refused() -> None:
    with pytest.raises(ValueError, match="not a zlib stream"):
        decompress(b"this is plain text", 1_000)
