"""The example answers as its README says, on a real server, recorded or not."""

import re
from pathlib import Path

import httpx
import pytest
from lab.load import MIX, send_mix
from lab.servers import running

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "fastapi"
TRANSACTION_HEADER = "x-moesif-transaction-id"


@pytest.fixture(scope="module", params=["", "1"], ids=["no-hooks", "hooks"])
def shop(request, tmp_path_factory):
    """The example on a real server, whose events can go nowhere: answers must not depend on it."""
    environment = {
        "MOESIF_APPLICATION_ID": "the-application-id-of-the-tests-of-the-example",
        "MOESIF_BASE_URI": "http://127.0.0.1:9",
        "MOESIF_SPOOL_DIR": str(tmp_path_factory.mktemp("spool")),
        "MOESIF_EXAMPLE_HOOKS": request.param,
    }
    with (
        running("uvicorn", "app:app", workers=1, cwd=EXAMPLE, env=environment) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        yield client


def test_every_endpoint_of_the_readme_answers(shop):
    documented = set(re.findall(r"`(?:GET|POST) (/[^`]*)`", (EXAMPLE / "README.md").read_text("utf-8")))
    routes = {path.split("{")[0] for path in shop.get("/openapi.json").json()["paths"]}
    assert {path.replace("/items/1", "/items/") for path in documented} == routes


def test_items_are_found_or_not_and_created_or_refused(shop):
    assert shop.get("/items/1").json() == {"id": 1, "name": "lamp"}
    assert shop.get("/items/9999").status_code == 404
    assert shop.post("/items", json={"name": "bed", "price": 3}).json()["tags"] == []
    assert shop.post("/items", json={"name": "bed"}).status_code == 422


def test_a_stream_arrives_whole(shop):
    assert shop.get("/stream").text.splitlines() == [f"line {number}" for number in range(20)]
    assert shop.get("/events").text.count("event: tick") == 3


def test_an_exception_is_a_500(shop):
    # On a connection of its own: uvicorn closes it after the answer, and does not say so beforehand.
    assert httpx.get(shop.base_url.join("/boom")).status_code == 500


@pytest.mark.parametrize("encoding", ["json", "data"])
def test_a_login_by_json_or_form_gives_a_token_that_me_takes(shop, encoding):
    token = shop.post("/login", **{encoding: {"user": "ada", "password": "x"}}).json()["access_token"]
    assert shop.get("/me", headers={"Authorization": f"Bearer {token}"}).json() == {"user": "ada"}
    assert shop.post("/login", **{encoding: {"user": "ada"}}).status_code == 400


@pytest.mark.parametrize("token", ["none", "a.b.c", "é", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ."])
def test_a_token_that_was_not_signed_here_is_refused(shop, token):
    assert shop.get("/me", headers={"Authorization": f"Bearer {token}".encode()}).status_code == 401


def test_bodies_of_every_other_kind(shop):
    assert shop.post("/upload", files={"file": ("a.bin", b"\0" * 70_000)}).json()["bytes"] == 70_000
    assert shop.get("/text").headers["content-type"].startswith("text/plain")
    assert shop.get("/empty").content == b""
    assert shop.get("/download").text.startswith("id,name\n1,lamp\n")
    assert shop.post("/task").status_code == 202


def test_the_response_names_its_transaction(shop):
    assert len(shop.get("/").headers[TRANSACTION_HEADER]) == 36


def test_the_mix_of_the_laboratory_is_answered_in_full(shop):
    result = send_mix(str(shop.base_url), count=10 * len(MIX), concurrency=2)
    assert not result.failures
    assert result.statuses == {200: 60, 201: 20, 404: 10, 500: 10}
    assert len(set(result.transaction_ids)) == 90
