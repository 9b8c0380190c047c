"""The listening socket: it rests where no connection is granted, and can be closed at any time."""

import selectors
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from moesifasgi.shipper.receiver.listener import REST_S, Listener
from moesifasgi.unix_socket import listening


@pytest.fixture
def selector() -> Iterator[selectors.DefaultSelector]:
    with selectors.DefaultSelector() as made:
        yield made


@pytest.fixture
def listening_socket(short_dir: Path) -> Iterator[socket.socket]:
    with listening(short_dir / "s.sock", 0o600) as made:
        yield made


@pytest.fixture
def refusing_socket() -> Iterator[socket.socket]:
    """The kernel accepts nobody on it: it does not listen."""
    with socket.socket(socket.AF_UNIX) as made:
        made.setblocking(False)
        yield made


def test_who_left_before_it_was_accepted_is_no_reason_to_rest(
    selector: selectors.DefaultSelector, listening_socket: socket.socket
):
    listener = Listener(listening_socket, selector, list)
    assert listener.accept(10.0) is None
    assert listener.due_in_s(10.0) is None


def test_it_rests_after_a_refusal_of_the_system_and_listens_again(
    selector: selectors.DefaultSelector, refusing_socket: socket.socket
):
    listener = Listener(refusing_socket, selector, list)
    assert listener.accept(10.0) is None
    assert (listener.due_in_s(10.0), listener.due_in_s(99.0)) == (REST_S, 0.0)
    assert not selector.get_map()
    listener.wake()
    assert listener.due_in_s(10.0) is None
    assert refusing_socket.fileno() in selector.get_map()


@pytest.mark.parametrize("resting", [False, True])
def test_it_may_be_closed_at_rest_too_and_twice(
    resting: bool, selector: selectors.DefaultSelector, refusing_socket: socket.socket
):
    listener = Listener(refusing_socket, selector, list)
    if resting:
        listener.accept(10.0)
    listener.close()
    listener.close()
    assert listener.due_in_s(99.0) is None
    assert not selector.get_map()
    assert refusing_socket.fileno() == -1
