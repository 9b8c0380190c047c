"""docs/operations.md, docs/migration.md and the container's files say what is so."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from lab.metric_names import sample_names

from moesifasgi.settings_table import markdown_table
from moesifasgi.shipper.configuration.key import keys_of
from moesifasgi.shipper.configuration.load import load
from moesifasgi.shipper.configuration.values import Configuration
from moesifasgi.shipper.liveness import STANDSTILL_S
from moesifasgi.shipper.outcome import Unauthorized
from moesifasgi.shipper.retry import classify
from moesifasgi.shipper.watchdog import EXIT_STANDSTILL

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs/operations.md").read_text("utf-8")
DOCKERFILE = (ROOT / "scripts/container/Dockerfile").read_text("utf-8")
POD = yaml.safe_load((ROOT / "scripts/container/kubernetes.yaml").read_text("utf-8"))["spec"]["template"][
    "spec"
]


def shipper_container() -> dict[str, Any]:
    (found,) = POD["initContainers"]
    return dict(found)


def environment_of_image() -> dict[str, str]:
    return dict(re.findall(r"(MOESIF_SHIPPER_\w+)=(\S+)", DOCKERFILE))


def test_every_metric_is_documented_and_no_other():
    shortened = re.sub(r"`…_(\w+)", r"`moesif_shipper_\1", OPERATIONS)
    documented = set(re.findall(r"`(moesif_shipper_\w+)", shortened))
    there_are = {
        re.sub("_(bucket|count|sum|created)$", "", name)
        for name in sample_names()
        if name.startswith("moesif_shipper_")
    }
    assert documented == there_are


def test_the_numbers_of_the_page_are_those_of_the_code():
    assert f"for {STANDSTILL_S:.0f}\nseconds (`standstill_timeout`)" in OPERATIONS
    assert f"exit status {EXIT_STANDSTILL}" in OPERATIONS


def test_the_answers_that_park_an_application_are_those_of_the_code():
    parking = [str(code) for code in range(400, 500) if isinstance(classify(code, {}, 0.0), Unauthorized)]
    assert f"`events of …: parked: {parking[0]} …` ({', '.join(parking[1:])})" in OPERATIONS
    page = " ".join((ROOT / "docs/shipper.md").read_text("utf-8").split())
    assert f"refuses ({', '.join(parking)})" in page


@pytest.mark.parametrize("page", ["operations.md", "migration.md"])
def test_each_link_leads_somewhere(page: str):
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "docs" / page).read_text("utf-8"))
    assert links
    for link in links:
        assert (ROOT / "docs" / link).exists(), link


def test_each_key_and_setting_that_the_page_names_is_one():
    known = {key.name for _, key in keys_of(Configuration)} | {"id_file"}
    assert set(re.findall(r"`(\w+)(?: = [^`]*)?` (?:and reload|for each application)", OPERATIONS)) <= known
    settings = set(re.findall(r"`([A-Z][A-Z_]{4,})`", OPERATIONS)) - {"UNHEALTHY"}
    assert settings
    for setting in settings:
        assert f"`{setting}`" in markdown_table()


def test_the_image_copies_what_there_is_and_configures_what_there_is():
    copied = re.findall(r"^COPY (?!--from)(.*) /src", DOCKERFILE, re.MULTILINE)
    for name in " ".join(copied).split():
        assert (ROOT / name).exists()
        assert f"!{name}" in (ROOT / ".dockerignore").read_text("utf-8")
    configuration = load(None, environment_of_image(), {}).configuration
    assert configuration.socket_mode == 0o660
    assert configuration.allowed_groups == (10001,)
    assert str(configuration.metrics) == "127.0.0.1:9464"
    # Below the volume, which others may write to: such a directory is refused.
    assert f'VOLUME ["/run/moesif", "{Path(configuration.spool_dir).parent}"]' in DOCKERFILE


def test_the_pods_containers_share_the_socket_and_the_group_that_is_served():
    shipper, (application,) = shipper_container(), POD["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in shipper["volumeMounts"]}
    configuration = Configuration()
    assert mounts == {
        "moesif-socket": str(Path(configuration.socket).parent),
        "moesif-spool": str(Path(environment_of_image()["MOESIF_SHIPPER_SPOOL_DIR"]).parent),
    }
    assert set(mounts) == {volume["name"] for volume in POD["volumes"]}
    assert {"name": "moesif-socket", "mountPath": mounts["moesif-socket"]} in application["volumeMounts"]
    assert "moesif-spool" not in str(application["volumeMounts"])
    assert POD["securityContext"]["fsGroup"] == int(environment_of_image()["MOESIF_SHIPPER_ALLOWED_GROUPS"])
    given = {each["name"]: each.get("value") for each in application["env"]}
    assert given["MOESIF_SHIPPER_SOCKET"] == configuration.socket
    assert given["MOESIF_TRANSPORT"] == "unix"


def test_the_pod_drains_and_no_outage_restarts_anything_in_it():
    shipper = shipper_container()
    assert shipper["restartPolicy"] == "Always"
    assert not {"livenessProbe", "readinessProbe"} & set(shipper)
    assert POD["terminationGracePeriodSeconds"] > 2 * Configuration().drain_timeout_s
    size = next(
        volume["emptyDir"]["sizeLimit"] for volume in POD["volumes"] if volume["name"] == "moesif-spool"
    )
    assert int(size.removesuffix("Mi")) << 20 > Configuration().spool_max_bytes
