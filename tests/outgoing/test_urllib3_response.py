"""urllib3's response as other versions have it."""

from io import BytesIO, TextIOWrapper
from unittest.mock import Mock

import pytest
from urllib3.response import HTTPResponse

from moesifasgi.outgoing.urllib3_response import watch


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch) -> type[HTTPResponse]:
    """urllib3's class before 2.2."""
    for kind in HTTPResponse.__mro__:
        if "read1" in vars(kind):
            monkeypatch.delattr(kind, "read1")
    return type("Older", (HTTPResponse,), {})


def test_a_response_without_read1_has_none_when_it_is_watched(older: type[HTTPResponse]):
    call = Mock()
    response = older(BytesIO(b"as ever"), preload_content=False)
    watch(response, call)
    assert not hasattr(response, "read1")
    assert TextIOWrapper(response).read() == "as ever"
    assert b"".join(told.args[0] for told in call.received.call_args_list) == b"as ever"
    call.failed.assert_not_called()


def test_a_response_with_read1_tells_what_it_reads():
    call = Mock()
    response = HTTPResponse(BytesIO(b"at once"), preload_content=False)
    watch(response, call)
    assert response.read1() == b"at once"
    assert [told.args[0] for told in call.received.call_args_list] == [b"at once"]
