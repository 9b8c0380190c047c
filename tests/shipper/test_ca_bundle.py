"""Whom an upload trusts, and files of authorities that are none."""

import os
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from lab.front import Front
from lab.swapped import swapping

from moesifasgi.inspector import Collector
from moesifasgi.shipper.http import MAX_BUNDLE_BYTES, Http, NoAnswer, Timeouts
from moesifasgi.shipper.outcome import RetryLater
from moesifasgi.shipper.retry import classify_error

HEALTH = "/health/probe"
TIMEOUTS = Timeouts(connect_s=5.0, read_s=5.0, total_s=10.0)
pytestmark = pytest.mark.timeout(60)


@dataclass(frozen=True, slots=True)
class Stage:
    """A collector behind TLS, and its authority's certificate. ``bundle`` is a file yet to be made."""

    url: str
    pem: bytes
    bundle: Path

    def client(self) -> Http:
        return Http(ca_bundle=str(self.bundle), timeouts=TIMEOUTS)


@pytest.fixture
def stage(tmp_path: Path, collector: Collector) -> Iterator[Stage]:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    with Front(collector, tls=tls) as front:
        yield Stage(front.url + HEALTH, authority.cert_pem.bytes(), tmp_path / "authorities.pem")


def refusal(http: Http, url: str) -> NoAnswer:
    with pytest.raises(NoAnswer) as caught:
        http.get(url, {})
    return caught.value


def test_what_is_no_file_is_a_failed_attempt_that_says_so_and_the_next_one_finds_what_is_there_then(
    stage: Stage,
) -> None:
    with closing(stage.client()) as http:
        assert str(refusal(http, stage.url)) == f"CA bundle {stage.bundle}: expected a file, found nothing"
        os.mkfifo(stage.bundle)
        refused = refusal(http, stage.url)
        assert str(refused) == f"CA bundle {stage.bundle}: expected a file, found a pipe"
        outcome = classify_error(refused, reached=refused.reached, too_slow=refused.too_slow)
        assert outcome == RetryLater(None, str(refused), reached=False)
        stage.bundle.unlink()
        stage.bundle.mkdir()
        assert "found a directory" in str(refusal(http, stage.url))
        stage.bundle.rmdir()
        stage.bundle.symlink_to("/dev/zero")
        assert "found a device" in str(refusal(http, stage.url))
        stage.bundle.unlink()
        stage.bundle.write_bytes(stage.pem)
        assert http.get(stage.url, {}).status == 200


def test_a_file_without_certificates_or_without_end_is_refused(stage: Stage) -> None:
    with closing(stage.client()) as http:
        for content in (b"", b"no certificate", b"\x00\xff" * 999):
            stage.bundle.write_bytes(content)
            assert "expected certificates (PEM), found none" in str(refusal(http, stage.url))
        os.truncate(stage.bundle, MAX_BUNDLE_BYTES + 1)
        assert f"found more than {MAX_BUNDLE_BYTES} bytes" in str(refusal(http, stage.url))


def test_a_certificate_in_openssls_own_form_is_named(stage: Stage) -> None:
    trusted = stage.pem.replace(b" CERTIFICATE--", b" TRUSTED CERTIFICATE--")
    stage.bundle.write_bytes(trusted)
    with closing(stage.client()) as http:
        assert str(refusal(http, stage.url)) == (
            f"CA bundle {stage.bundle}: expected certificates (PEM), found TRUSTED CERTIFICATE"
            " (openssl x509 makes it plain)"
        )
        stage.bundle.write_bytes(trusted + stage.pem)
        assert http.get(stage.url, {}).status == 200


def test_another_authority_is_not_trusted_and_a_replaced_file_counts_from_the_next_connection_on(
    stage: Stage,
) -> None:
    stage.bundle.write_bytes("# Főtanúsítvány\n".encode() + trustme.CA().cert_pem.bytes())
    with closing(stage.client()) as http:
        assert str(refusal(http, stage.url)) == "TLS failed"
        stage.bundle.write_bytes(stage.bundle.read_bytes() + "# Főtanúsítvány\n".encode() + stage.pem)
        assert http.get(stage.url, {}).status == 200
    with closing(Http(timeouts=TIMEOUTS)) as usual:
        assert str(refusal(usual, stage.url)) == "TLS failed"


def test_a_pipe_is_no_matter_where_nothing_is_encrypted(stage: Stage, collector: Collector) -> None:
    os.mkfifo(stage.bundle)
    with closing(stage.client()) as http:
        assert http.get(collector.url + HEALTH, {}).status == 200


def test_the_environments_bundle_may_be_a_file_or_a_directory_and_is_said_where_it_is_not_there(
    stage: Stage, tmp_path: Path, monkeypatch
) -> None:
    authorities = tmp_path / "authorities"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authorities))
    with closing(Http(timeouts=TIMEOUTS)) as http:
        told = f"REQUESTS_CA_BUNDLE {authorities}: expected a file, found nothing"
        assert str(refusal(http, stage.url)) == told
        authorities.mkdir()
        assert str(refusal(http, stage.url)) == "TLS failed"
        authorities.rmdir()
        os.mkfifo(authorities)
        assert "expected a file, found a pipe" in str(refusal(http, stage.url))
        authorities.unlink()
        authorities.write_bytes(stage.pem)
        assert http.get(stage.url, {}).status == 200


class Tunnel(socketserver.StreamRequestHandler):
    """A proxy that connects whoever asks (CONNECT), once."""

    def handle(self) -> None:
        host, _, port = self.rfile.readline().split()[1].decode().partition(":")
        while self.rfile.readline().strip():
            pass
        with socket.create_connection((host, int(port)), 10.0) as there:
            self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            back = threading.Thread(target=pour, args=(there, self.connection))
            back.start()
            pour(self.connection, there)
            back.join()


def pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy() -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_the_bundle_counts_through_a_proxy_too(stage: Stage, proxy: str) -> None:
    with closing(Http(proxy=proxy, ca_bundle=str(stage.bundle), timeouts=TIMEOUTS)) as http:
        os.mkfifo(stage.bundle)
        assert "expected a file, found a pipe" in str(refusal(http, stage.url))
        stage.bundle.unlink()
        stage.bundle.write_bytes(trustme.CA().cert_pem.bytes())
        assert str(refusal(http, stage.url)) == "TLS failed"
        stage.bundle.write_bytes(stage.pem)
        assert http.get(stage.url, {}).status == 200


def test_no_swap_of_the_file_makes_an_attempt_wait(stage: Stage, tmp_path: Path) -> None:
    good, pipe, directory = (tmp_path / name for name in ("good", "pipe", "directory"))
    good.write_bytes(stage.pem)
    os.mkfifo(pipe)
    directory.mkdir()
    refused = {"expected a file, found a pipe", "expected a file, found a directory"}
    told: list[int | str] = []
    with swapping(stage.bundle, good, pipe, directory):
        while len(told) < 25 or not {200, *refused} <= set(told):
            with closing(stage.client()) as http:
                try:
                    told.append(http.get(stage.url, {}).status)
                except NoAnswer as error:
                    told.append(str(error).removeprefix(f"CA bundle {stage.bundle}: "))
    assert set(told) == {200, *refused}
