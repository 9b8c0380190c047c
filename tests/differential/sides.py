"""The recorded traffic through one package: what its clients saw, and the events that its collector got."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse, IncompleteRead
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, cast

from differential.call import NAME_HEADER, Call
from lab.processes import bearing, eventually, kill_all, marked
from lab.published import published_python

from moesifasgi.inspector import Collector
from moesifasgi.inspector.contract import Strictness

HERE = Path(__file__).parent
ANSWER_TIMEOUT_S = 20.0
ARRIVAL_TIMEOUT_S = 20.0
FENCE_EVERY_S = 0.3
LEAVE_TIMEOUT_S = 10.0
ID_HEADER = "x-moesif-transaction-id"
_FENCE = "fence"

Event = dict[str, Any]


class Answer(NamedTuple):
    """What a client saw."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Side:
    """What came of the traffic, by the calls' names."""

    answers: dict[str, Answer]
    events: dict[str, list[Event]]
    refused: int
    """Events that the collector refused."""
    address: str
    """Of the server, as it stands in a URI."""


class Served(NamedTuple):
    """A running application: where it listens, and where it leaves files."""

    address: tuple[str, int]
    unix_path: str
    directory: Path
    popen: subprocess.Popen[bytes]


def published_side(traffic: Sequence[Call]) -> Side:
    """The published package. NotInstallable where its environment cannot be made.

    It knows no drain and tells nobody what it has lost. But its queues are in order: a further request whose
    event arrives says that no event before it still will.
    """
    python = published_python()
    # Items for themselves: what is wrong with one event is that event's difference alone. And -E: a path that
    # was meant for our environment would mislead the other.
    with Collector(strict=Strictness.ITEM) as collector, _serving(collector, python, "-E") as served:
        answers = _driven(served, traffic)
        for profile in {call.profile: None for call in _all(traffic)}:
            _fence(served, collector, profile)
    return _side(collector, served, answers)


def our_side(traffic: Sequence[Call]) -> Side:
    """This package. Its server leaves when what it captured is delivered."""
    with Collector() as collector, _serving(collector, sys.executable) as served:
        answers = _driven(served, traffic)
        served.popen.terminate()
        served.popen.wait(LEAVE_TIMEOUT_S)
        # Its drain waits for that too, but not as long as a busy machine may need.
        recorded = sum(not call.skipped for call in _all(traffic))
        collector.wait_for(lambda store: store.counts().received >= recorded, ARRIVAL_TIMEOUT_S)
    return _side(collector, served, answers)


def _side(collector: Collector, served: Served, answers: dict[str, Answer]) -> Side:
    named = {dict(answer.headers).get(ID_HEADER): name for name, answer in answers.items()}
    events: dict[str, list[Event]] = defaultdict(list)
    for event in collector.store.items():
        # A mask that fails takes the headers out of the event.
        events[_name_of(event) or named[event["transaction_id"]]].append(event)
    counts = collector.store.counts()
    host, port = served.address
    return Side(answers, dict(events), counts.invalid + counts.refused, f"{host}:{port}")


def _name_of(event: Event) -> str | None:
    name: str | None = event["request"]["headers"].get(NAME_HEADER)
    return name


@contextmanager
def _serving(collector: Collector, python: str, *options: str) -> Iterator[Served]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="d-", dir="/tmp")))
        log = stack.enter_context((directory / "server.log").open("wb"))
        tcp, unix = (
            stack.enter_context(socket.socket(family)) for family in (socket.AF_INET, socket.AF_UNIX)
        )
        unix_path = str(directory / "server.sock")
        tcp.bind(("127.0.0.1", 0))
        unix.bind(unix_path)
        for each in (tcp, unix):
            # Connections wait from now on: nobody has to ask whether the server is up.
            each.listen()
        environment, mark = marked(_environment(directory, collector))
        descriptors = (tcp.fileno(), unix.fileno())
        popen = subprocess.Popen(
            [python, *options, str(HERE / "application.py"), *map(str, descriptors)],
            env=environment,
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Served(tcp.getsockname(), unix_path, directory, popen)
        except Exception as error:
            raise AssertionError(f"{error}\n{(directory / 'server.log').read_text()[-5000:]}") from error
        finally:
            # The published package does not end by itself for want of a working exit hook.
            kill_all(bearing(mark))
            popen.wait()


def _environment(directory: Path, collector: Collector) -> dict[str, str]:
    return os.environ | {
        "DIFFERENTIAL_COLLECTOR": collector.url,
        "DIFFERENTIAL_DIRECTORY": str(directory),
        "MOESIF_SPOOL_DIR": str(directory / "spool"),
        "MOESIF_SHIPPER_SOCKET": str(directory / "nobody.sock"),
    }


def _driven(served: Served, traffic: Sequence[Call]) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}
    for call in traffic:
        with _sent(served, call) as connection:
            if call.meanwhile is not None:
                in_file = served.directory / "first-is-in"
                eventually(in_file.exists, ANSWER_TIMEOUT_S, f"{call.name} is in the application")
                answers |= _driven(served, [call.meanwhile])
            answers[call.name] = _answer(connection, call)
    return answers


def _sent(served: Served, call: Call) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX if call.over_unix else socket.AF_INET)
    connection.settimeout(ANSWER_TIMEOUT_S)
    connection.connect(served.unix_path if call.over_unix else served.address)
    connection.sendall(call.raw())
    return connection


def _answer(connection: socket.socket, call: Call) -> Answer:
    """What came until the server closed the connection, or until the client leaves."""
    received = bytearray()
    while part := connection.recv(65536):
        received += part
        if call.leaves and b"data:" in received:
            return Answer(int(received.split()[1]), [], b"")
    response = HTTPResponse(cast(socket.socket, _Received(bytes(received))), method=call.method)
    response.begin()
    return Answer(response.status, response.getheaders(), _body(response))


class _Received:
    """What ``http.client`` reads a response from."""

    def __init__(self, received: bytes) -> None:
        self._received = received

    def makefile(self, _mode: str) -> BytesIO:
        return BytesIO(self._received)


def _body(response: HTTPResponse) -> bytes:
    try:
        return response.read()
    except IncompleteRead as error:
        return error.partial


def _fence(served: Served, collector: Collector, profile: str) -> None:
    """Wait until an event of a later request to the same application has arrived."""
    deadline = time.monotonic() + ARRIVAL_TIMEOUT_S
    name = f"{_FENCE} of {profile}"

    def arrived(_store: object) -> bool:
        return any(_name_of(event) == name for event in collector.store.items())

    # One that shares its batch with an event that cannot be encoded is lost with it.
    while not collector.wait_for(arrived, 0):
        if time.monotonic() > deadline:
            raise AssertionError(f"after {ARRIVAL_TIMEOUT_S:g} s nothing has arrived for {profile}")
        _driven(served, [Call(name, profile=profile)])
        collector.wait_for(arrived, FENCE_EVERY_S)


def _all(traffic: Sequence[Call]) -> Iterator[Call]:
    for call in traffic:
        yield call
        if call.meanwhile is not None:
            yield call.meanwhile
