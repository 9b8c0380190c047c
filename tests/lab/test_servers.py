"""The laboratory's servers: up when they answer, gone with everything they started."""

import urllib.request
from pathlib import Path

import pytest
from lab.processes import eventually, has_ended
from lab.servers import running

HERE = Path(__file__).parent


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn", "hypercorn"])
def test_a_server_runs_its_workers_and_leaves_on_sigterm(server):
    with running(server, "plain_app:app", workers=2, cwd=HERE, env={"LAB_PRINTS": "greetings"}) as started:
        assert len(set(started.worker_pids())) == 2
        assert started.pid not in started.worker_pids()
        assert "greetings" in started.log()
        code, seconds = started.terminate(timeout=10)
    assert code in (0, -15)
    assert seconds < 10


def test_a_granian_with_one_worker_answers_and_leaves_on_sigterm():
    with running("granian", "plain_app:app", workers=1, cwd=HERE) as started:
        assert urllib.request.urlopen(f"{started.url}/").status == 200
        assert started.pid not in started.worker_pids()
        assert started.terminate(timeout=10).code == 0


def test_a_single_uvicorn_is_its_own_worker_and_can_be_killed():
    with running("uvicorn", "plain_app:app", workers=1, cwd=HERE) as started:
        assert started.worker_pids() == [started.pid]
        started.kill()
        assert started.worker_pids() == []


def test_waiting_for_a_server_makes_no_request_to_the_application():
    with running("uvicorn", "plain_app:app", workers=1, cwd=HERE) as started:
        eventually(lambda: "Uvicorn running" in started.log(), 5, "the server says so")
        assert "HTTP/1.1" not in started.log()
        assert urllib.request.urlopen(f"{started.url}/").status == 200
        eventually(lambda: '"GET / HTTP/1.1" 200' in started.log(), 5, "the access log shows the request")


def test_an_application_that_cannot_start_fails_with_the_log():
    with pytest.raises(AssertionError, match="no_such_module"), running("uvicorn", "no_such_module:app", 1):
        pass


def test_a_process_that_left_its_session_is_ended_with_the_server():
    with running("uvicorn", "plain_app:app", workers=1, cwd=HERE) as started:
        urllib.request.urlopen(f"{started.url}/orphan").close()
        started.kill()
        (orphan,) = started.descendants()
        assert not has_ended(orphan)
    assert has_ended(orphan)
