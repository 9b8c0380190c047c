"""The alerts and the dashboard: right for Prometheus, and about metrics that there are."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from lab.metric_names import sample_names
from lab.tools import needed

MONITORING = Path(__file__).parents[2] / "scripts" / "monitoring"
METRIC = re.compile(r"\b((?:moesif_shipper|process)_\w+)")


def promtool(*arguments: str) -> None:
    needed("promtool")
    done = subprocess.run(
        ["promtool", *arguments], cwd=MONITORING, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def panels() -> list[dict[str, Any]]:
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text("utf-8"))
    found: list[dict[str, Any]] = dashboard["panels"]
    return found


def queries() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def test_each_alert_fires_where_it_must_and_is_silent_where_it_must_be():
    promtool("check", "rules", "alerts.yml")
    promtool("test", "rules", "alerts_test.yml")


def test_every_alert_has_its_test():
    alerts = re.findall(r"alert: (\w+)", (MONITORING / "alerts.yml").read_text("utf-8"))
    tests = (MONITORING / "alerts_test.yml").read_text("utf-8")
    assert alerts
    for alert in alerts:
        assert tests.count(f"alertname: {alert}") == 2


def test_the_example_configuration_is_one():
    promtool("check", "config", "prometheus.yml")


def test_prometheus_understands_every_query_of_the_dashboard(tmp_path: Path):
    rules = [
        {"record": f"q{number}", "expr": query.replace("$__rate_interval", "5m").replace("$instance", ".*")}
        for number, query in enumerate(queries())
    ]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), "utf-8")
    promtool("check", "rules", str(file))


def test_alerts_and_dashboard_are_about_metrics_that_there_are():
    used = set(METRIC.findall("\n".join([*queries(), (MONITORING / "alerts.yml").read_text("utf-8")])))
    assert used
    assert used <= sample_names()


def test_panels_do_not_overlap_and_have_a_title():
    places = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels()
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
    assert all(panel["title"] for panel in panels())
