"""What watches mx20 from outside: alert rules, dashboard, the Icinga plugin."""

import json
import re
import shutil
import subprocess

import pytest

from client import send
from daemon import BUILD, ROOT
from faults import FAST, allow, until
from net import free_port
from web import metrics

PROMETHEUS = ROOT / "contrib/prometheus"
DASHBOARD = ROOT / "contrib/grafana/mx20.json"
PLUGIN = ROOT / "contrib/icinga/check_mx20"
# What Grafana 9 (schemaVersion 37) needs to show a dashboard that is imported; not
# its own schema, which is no file.
SOURCE = {"type": "object", "required": ["type", "uid"]}
PANEL = {
    "type": "object",
    "required": ["id", "type", "title", "gridPos", "targets", "datasource",
                 "fieldConfig", "options"],
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "type": {"enum": ["stat", "timeseries"]},
        "title": {"type": "string", "minLength": 1},
        "datasource": SOURCE,
        "gridPos": {
            "type": "object", "required": ["x", "y", "w", "h"],
            "properties": {"x": {"type": "integer", "minimum": 0},
                           "y": {"type": "integer", "minimum": 0},
                           "w": {"type": "integer", "minimum": 1, "maximum": 24},
                           "h": {"type": "integer", "minimum": 1}}},
        "targets": {
            "type": "array", "minItems": 1,
            "items": {"type": "object",
                      "required": ["refId", "expr", "datasource"],
                      "properties": {"refId": {"pattern": "^[A-Z]$"},
                                     "expr": {"type": "string"}}}},
        "fieldConfig": {"type": "object", "required": ["defaults", "overrides"]},
    }}
SCHEMA = {
    "type": "object",
    "required": ["uid", "title", "schemaVersion", "panels", "templating", "time"],
    "properties": {
        "id": {"type": "null"},
        "uid": {"type": "string", "maxLength": 40},
        "schemaVersion": {"const": 37},
        "panels": {"type": "array", "minItems": 1, "items": PANEL},
        "templating": {
            "type": "object", "required": ["list"],
            "properties": {"list": {"type": "array", "items": {
                "type": "object", "required": ["name", "type", "query"]}}}},
        "time": {"type": "object", "required": ["from", "to"]},
    }}


def promtool(*words):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    return subprocess.run(["promtool", *words], capture_output=True, text=True)


def expressions():
    dashboard = json.loads(DASHBOARD.read_text())
    return [t["expr"] for p in dashboard["panels"] for t in p["targets"]]


# ---- Prometheus and Grafana ---------------------------------------------------


def test_the_alert_rules_are_right(tmp_path):
    yaml = pytest.importorskip("yaml")
    rules = PROMETHEUS / "mx20.rules.yml"
    tests = PROMETHEUS / "mx20.rules.test.yml"
    done = promtool("check", "rules", str(rules))
    assert done.returncode == 0, done.stderr
    done = promtool("test", "rules", str(tests))
    assert done.returncode == 0, done.stdout + done.stderr
    # each alert is seen to fire and not to fire
    names = {r["alert"] for g in yaml.safe_load(rules.read_text())["groups"]
             for r in g["rules"]}
    cases = [case for test in yaml.safe_load(tests.read_text())["tests"]
             for case in test["alert_rule_test"]]
    assert {c["alertname"] for c in cases if c.get("exp_alerts")} == names
    assert {c["alertname"] for c in cases if not c.get("exp_alerts")} == names
    # and the cases would notice
    shutil.copy(tests, tmp_path)
    (tmp_path / rules.name).write_text(
        rules.read_text().replace("> 600 and", "> 6000 and"))
    assert promtool("test", "rules",
                    str(tmp_path / tests.name)).returncode != 0


def test_the_dashboard_is_one(tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    dashboard = json.loads(DASHBOARD.read_text())
    jsonschema.validate(dashboard, SCHEMA)
    panels = dashboard["panels"]
    assert len({p["id"] for p in panels}) == len(panels)
    cells = [(x, y) for p in panels for g in [p["gridPos"]]
             for x in range(g["x"], g["x"] + g["w"])
             for y in range(g["y"], g["y"] + g["h"])]
    assert len(set(cells)) == len(cells)  # none covers another
    assert max(x for x, y in cells) == 23
    variables = {v["name"] for v in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text()))
    assert used - {"__rate_interval", "__all"} == variables
    # Prometheus reads what it is asked
    groups = {"groups": [{"name": "dashboard", "rules": [
        {"record": f"panel:{i}", "expr": e.replace("$__rate_interval", "5m")}
        for i, e in enumerate(expressions())]}]}
    file = tmp_path / "dashboard.yml"
    file.write_text(json.dumps(groups))
    done = promtool("check", "rules", str(file))
    assert done.returncode == 0, done.stderr


def test_what_is_asked_for_is_there(mx20, primary):
    """By rules and dashboard."""
    at = f"127.0.0.1:{free_port()}"
    p = primary()
    d = mx20(domains=allow(p), conf={"drain": FAST, "web": {"listen": at}})
    send(d.address, rcpts=["bob@example.com"])
    until(lambda: [n for n in metrics(at) if "destination_up" in n])
    known = {name.split("{")[0] for name in metrics(at)}
    asked = set()
    for where in (*expressions(), (PROMETHEUS / "mx20.rules.yml").read_text()):
        asked |= set(re.findall(r"\bmx20_\w+", where))
    # not there without a certificate
    assert asked - known <= {"mx20_certificate_expiry_timestamp_seconds"}


# ---- Icinga, Nagios -----------------------------------------------------------


def check(d, *words, program=BUILD / "mx20ctl"):
    done = subprocess.run(
        ["/usr/bin/python3", str(PLUGIN), "--mx20ctl", str(program),
         "-C", str(d.conf_path), *words], capture_output=True, text=True)
    assert len(done.stdout.splitlines()) == 1, done.stdout + done.stderr
    return done.returncode, done.stdout.strip()


def test_plugin_ok_and_what_it_measured(mx20, primary):
    d = mx20(domains=allow(primary()), conf={"drain": FAST})
    status, said = check(d)
    assert (status, said.split(" | ")[0]) == (0, "MX20 OK - nothing waits")
    assert re.search(r"\| messages=0;;;0 used=\d+B;;;0;2147483648 oldest=0s;;;0$",
                     said)


def test_plugin_warning_and_critical_in_an_outage(mx20, primary):
    p = primary()
    d = mx20(domains=allow(p), conf={"drain": FAST})
    send(d.address, rcpts=["bob@example.com"])
    until(lambda: check(d)[0] != 0)
    status, said = check(d)
    assert status == 1, said
    assert "MX20 WARNING - 127.0.0.1" in said and "1 message" in said
    assert "messages=1;" in said
    status, said = check(d, "-c", "0")
    assert status == 2 and said.startswith("MX20 CRITICAL - ")


def test_plugin_a_certificate_before_and_after_its_end(mx20, pki):
    for validity, state in (({"days": 3}, 1), ({"expired": True}, 2)):
        cert = pki.cert("mx2.test", **validity)
        d = mx20(conf={"tls": {"certificate": str(cert.cert_path),
                               "key": str(cert.key_path)}})
        status, said = check(d)
        assert status == state, said
        assert "certificate" in said


def test_plugin_critical_when_nobody_answers(mx20, primary):
    d = mx20(domains=allow(primary()))
    d.stop()
    status, said = check(d)
    assert status == 2 and "MX20 CRITICAL - " in said


def test_plugin_unknown(mx20, tmp_path):
    d = mx20()
    assert check(d, program="/nowhere/mx20ctl")[0] == 3
    assert check(d, "-c", "soon")[0] == 3
    assert check(d, "--nonsense")[0] == 3
    d.put(d.conf_path, "broken")
    status, said = check(d)
    assert status == 3 and said.startswith("MX20 UNKNOWN - "), said
    slow = tmp_path / "mx20ctl"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    assert check(d, "-t", "1", program=slow)[0] == 3
    chatty = tmp_path / "chatty"
    chatty.write_text("#!/bin/sh\nprintf '[{\"alarm\":\"down\",\"text\":\"a | b\"}]'"
                      "\nexit 3\n")
    chatty.chmod(0o755)
    assert check(d, program=chatty) == (2, "MX20 CRITICAL - a / b")
