"""Events from real workers reach the collector through the shipper, whatever ends in between."""

import signal
import threading
import time

import psutil
import pytest
from lab.load import LoadResult, send_mix
from lab.processes import eventually, shippers_of
from lab.servers import Server
from lab.status import status_in

from moesifasgi.inspector import Behaviour, Collector

SERVERS = ("uvicorn", "gunicorn")
REQUESTS = 600
SHIPPER_LEAVES_S = 20.0


def delivered(collector: Collector) -> int:
    return int(collector.store.summary()["events"]["distinct"])


def load_in_background(server: Server, count: int) -> "threading.Thread":
    """Requests on a thread; its ``result`` is there once it was joined."""

    class Load(threading.Thread):
        result: LoadResult

        def run(self) -> None:
            self.result = send_mix(server.url, count, concurrency=8)

    thread = Load()
    thread.start()
    return thread


@pytest.mark.parametrize("name", SERVERS)
def test_nothing_is_lost_when_a_server_is_stopped_straight_after_its_last_response(
    name, serve, collector, short_dir
):
    """B3: the published package delivers none of what it has queued then."""
    with serve(name, workers=4) as server:
        load = send_mix(server.url, REQUESTS, concurrency=16)
        shippers = shippers_of(short_dir)
        ended = server.terminate()
        eventually(lambda: delivered(collector) == REQUESTS, 5.0, "all events are delivered")
        eventually(lambda: not shippers_of(short_dir), SHIPPER_LEAVES_S, "the shipper leaves by itself")
    assert load.answered == REQUESTS
    assert len(shippers) == 1
    assert ended.seconds < 6.0
    summary = collector.store.summary()
    assert summary["events"]["invalid"] == 0
    assert {int(status): count for status, count in summary["by_status"].items()} == load.statuses


@pytest.mark.parametrize("name", SERVERS)
def test_the_id_on_a_response_is_the_id_of_its_event(name, serve, collector):
    with serve(name, workers=2) as server:
        load = send_mix(server.url, 100, concurrency=4)
        eventually(lambda: delivered(collector) == 100, 5.0, "all events are delivered")
        server.terminate()
    ids = set(collector.store.transaction_ids())
    assert set(load.transaction_ids) <= ids
    assert len(load.transaction_ids) == len(set(load.transaction_ids)) >= 80
    assert all(len(each) == 36 for each in ids)


def test_a_killed_shipper_is_replaced_within_two_seconds_and_loses_nothing(serve, collector, short_dir):
    with serve(workers=2) as server:
        send_mix(server.url, 20, concurrency=4)
        (victim,) = eventually(lambda: shippers_of(short_dir), 5.0, "a shipper serves")
        load = load_in_background(server, 2_000)
        eventually(lambda: delivered(collector) > 100, 10.0, "events arrive")
        victim.send_signal(signal.SIGKILL)
        killed_at = time.monotonic()
        eventually(lambda: status_in(short_dir).get("pid", victim.pid) != victim.pid, 5.0, "a new one serves")
        replaced_after_s = time.monotonic() - killed_at
        load.join()
        assert len(shippers_of(short_dir)) == 1
        server.terminate()
    assert load.result.answered == 2_000
    assert delivered(collector) == 2_020
    assert replaced_after_s < 2.0


def test_what_a_killed_worker_had_written_to_the_socket_arrives(serve, collector, short_dir):
    """The shipper is stopped meanwhile, so that the events are in the kernel when their worker dies."""
    with serve(workers=1) as server:
        send_mix(server.url, 1, concurrency=1)
        eventually(lambda: delivered(collector) == 1, 5.0, "the first event arrives")
        (shipper,) = shippers_of(short_dir)
        shipper.suspend()
        # One connection: a response is sent only after the event before it was offered.
        load = send_mix(server.url, 51, concurrency=1)
        server.kill()
        shipper.resume()
        eventually(lambda: delivered(collector) >= 51, 5.0, "50 of the dead worker's events arrive")
        eventually(lambda: not shippers_of(short_dir), SHIPPER_LEAVES_S, "the shipper leaves by itself")
    assert load.answered == 51


def test_events_survive_an_outage_and_a_restart_of_everything(serve, collector, short_dir):
    collector.behave(Behaviour(status=503))
    with serve(workers=2, MOESIF_SHIPPER_LINGER="0.5") as server:
        send_mix(server.url, 200, concurrency=8)
        ended = server.terminate()
        assert ended.seconds < 2.0, "a collector that is down must not hold up the server"
        eventually(lambda: not shippers_of(short_dir), SHIPPER_LEAVES_S, "the shipper leaves by itself")
    assert delivered(collector) == 0
    collector.behave(None)
    with serve(workers=1) as server:
        eventually(lambda: delivered(collector) == 200, 10.0, "the next shipper delivers what it finds")
        server.terminate()


def test_a_stopped_shipper_holds_up_neither_requests_nor_the_end_of_the_server(serve, collector, short_dir):
    with serve(workers=1) as server:
        send_mix(server.url, 10, concurrency=2)
        eventually(lambda: delivered(collector) == 10, 5.0, "the channel is up")
        (shipper,) = shippers_of(short_dir)
        shipper.suspend()
        assert send_mix(server.url, 200, concurrency=4).answered == 200
        try:
            ended = server.terminate()
        finally:
            left = list(short_dir.glob("left-*"))
            shipper.resume()
        assert ended.seconds < 2.5
        assert left, "what the kernel would not take is left to the next shipper as a file"
        eventually(
            lambda: delivered(collector) == 210, 10.0, "what was in the kernel and in the file arrives"
        )
        assert not list(short_dir.glob("left-*"))
        eventually(lambda: not shippers_of(short_dir), SHIPPER_LEAVES_S, "the shipper leaves by itself")


def test_nothing_is_lost_without_lifespan(serve, collector, short_dir):
    """No drain then: events must have left the worker when they were captured."""
    with serve(workers=1, extra=("--lifespan", "off")) as server:
        send_mix(server.url, 1, concurrency=1)
        eventually(lambda: delivered(collector) == 1, 5.0, "the channel is up")
        send_mix(server.url, 200, concurrency=4)
        server.terminate()
        eventually(lambda: delivered(collector) == 201, 5.0, "all arrive after the worker has ended")
        eventually(lambda: not shippers_of(short_dir), SHIPPER_LEAVES_S, "the shipper leaves by itself")


def test_the_shipper_shows_its_state_and_no_secret(serve, collector, short_dir, settings):
    with serve(workers=2) as server:
        send_mix(server.url, 50, concurrency=4)
        eventually(lambda: delivered(collector) == 50, 5.0, "all arrive")
        eventually(
            lambda: (status_in(short_dir).get("counters") or {}).get("delivered") == 50, 5.0, "it is counted"
        )
        status = status_in(short_dir)
        (shipper,) = shippers_of(short_dir)
        arguments, environment = shipper.cmdline(), shipper.environ()
        descriptors = {each.fd for each in shipper.open_files()}
        server.terminate()
    assert status["healthy"], status
    assert status["counters"]["difference"] == 0
    assert len(status["workers"]) == 2
    secret = settings["MOESIF_APPLICATION_ID"]
    assert secret not in " ".join(arguments)
    assert secret not in environment.values()
    assert secret not in str(status)
    assert secret not in (short_dir / "shipper.log").read_text()
    assert descriptors


def test_files_of_the_shipper_are_closed_to_others(serve, collector, short_dir):
    with serve(workers=1) as server:
        send_mix(server.url, 1, concurrency=1)
        eventually(lambda: delivered(collector) == 1, 5.0, "an event arrives")
        modes = {path.name: path.stat().st_mode & 0o777 for path in short_dir.iterdir()}
        server.terminate()
    assert modes
    assert all(mode & 0o077 == 0 for mode in modes.values()), modes
    assert short_dir.stat().st_mode & 0o777 == 0o700


def test_the_servers_own_descriptors_are_not_held_by_its_shipper(serve, collector, short_dir):
    """A shipper that held the listening socket would keep the port after the server has ended."""
    with serve("gunicorn", workers=2) as server:
        send_mix(server.url, 10, concurrency=2)
        (shipper,) = eventually(lambda: shippers_of(short_dir), 5.0, "a shipper serves")
        port = int(server.url.rpartition(":")[2])
        ports = {
            connection.laddr.port
            for connection in psutil.Process(shipper.pid).net_connections("inet")
            if connection.laddr
        }
        server.terminate()
    assert port not in ports
