"""LOG_CONTENT_TYPES: which bodies are recorded."""

import pytest

from moesifasgi.event.content_types import ContentTypes


@pytest.mark.parametrize(
    ("patterns", "value", "admitted"),
    [
        (("application/json",), b"application/json", True),
        (("application/json",), b"Application/JSON; charset=utf-8", True),
        (("application/json",), b"application/problem+json", False),
        (("application/*+json",), b"application/problem+json", True),
        (("text/*",), b"text/html", True),
        (("text/*", "application/json"), b"image/png", False),
        (("text/*",), b"", False),
        (("text/*",), b"\xff\xfe", False),
    ],
)
def test_a_type_is_admitted_by_its_name_whatever_its_parameters(
    patterns: tuple[str, ...], value: bytes, admitted: bool
) -> None:
    assert ContentTypes(patterns).admit([(b"Content-Type", value)]) is admitted


def test_a_body_that_names_no_type_is_not_admitted() -> None:
    assert not ContentTypes(("*/*",)).admit([(b"content-length", b"2")])


def test_a_body_that_names_two_types_is_admitted_only_if_both_are() -> None:
    types = ContentTypes(("text/*",))
    assert not types.admit([(b"content-type", b"text/plain"), (b"content-type", b"image/png")])
    assert types.admit([(b"content-type", b"text/plain"), (b"content-type", b"text/html")])
