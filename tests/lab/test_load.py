"""The load generator counts every request exactly once, whatever becomes of it."""

import socket
import threading
from pathlib import Path

import pytest
from lab.load import MIX, send_mix
from lab.servers import running

HERE = Path(__file__).parent


def test_the_mix_comes_back_in_its_documented_proportion():
    progress = []
    with running("uvicorn", "plain_app:app", workers=1, cwd=HERE) as server:
        result = send_mix(server.url, count=20 * len(MIX), concurrency=4, on_progress=progress.append)
    assert result.statuses == {200: 160, 404: 20, 500: 20}
    assert len(set(result.transaction_ids)) == 180
    assert not result.failures
    assert progress == list(range(1, 201))


def test_the_mix_reaches_a_server_on_a_unix_socket(short_dir):
    path = short_dir / "s"
    with running("uvicorn", "plain_app:app", workers=1, cwd=HERE, uds=path) as server:
        assert send_mix(server.url, count=3, concurrency=2, uds=path).answered == 3


def test_a_request_without_an_answer_is_a_failure_and_the_load_goes_on():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dropping = threading.Thread(target=_drop, args=(listener, 7))
        dropping.start()
        result = send_mix(f"http://127.0.0.1:{listener.getsockname()[1]}", count=7, concurrency=2)
        dropping.join()
    assert result.answered == 0
    assert len(result.failures) == 7


@pytest.mark.parametrize("concurrency", [1, 3, 8])
def test_the_count_is_exact_for_any_concurrency(concurrency):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        result = send_mix(f"http://127.0.0.1:{unused.getsockname()[1]}", 11, concurrency)
    assert len(result.failures) == 11


def _drop(listener, times):
    for _ in range(times):
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.close()
