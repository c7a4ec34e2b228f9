"""What the status page's server says, and a strict reader of OpenMetrics."""

import http.client
import re
import socket

from net import PATIENCE

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\n"])*"'
SAMPLE = re.compile(
    rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)?\}})? (-?[0-9]+(?:\.[0-9]+)?)$")
# what a sample's name has behind that of its family
ENDINGS = {
    "counter": ["_total"], "gauge": [""],
    "histogram": ["_bucket", "_sum", "_count"],
}


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self.path)


def ask(where, path, method="GET", body=None, headers=None):
    """where: "127.0.0.1:PORT" or the path of a socket."""
    if where.startswith("/"):
        c = Unix(where)
    else:
        c = http.client.HTTPConnection(where, timeout=PATIENCE)
    try:
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        r.text = r.read().decode("utf-8")
        return r
    finally:
        c.close()


def metrics(where, open_metrics=True):
    """{"name{labels}": number} of a document that is without a fault."""
    r = ask(where, "/metrics",
            headers={"Accept": OPENMETRICS} if open_metrics else {})
    assert r.status == 200
    assert r.headers["Content-Type"] == (OPENMETRICS if open_metrics else TEXT)
    return parse(r.text) if open_metrics else r.text


def family_of(name, families):
    for family, row in families.items():
        for ending in ENDINGS[row["type"]]:
            if name == family + ending:
                return family
    raise AssertionError(f"{name}: no such family")


def check_histogram(samples):
    """Buckets rise in bound and number, and the last one is the count."""
    bounds = [(float(labels.split('"')[1]), v) for name, labels, v in samples
              if name.endswith("_bucket")]
    assert bounds == sorted(bounds) and len(dict(bounds)) == len(bounds)
    assert bounds[-1][0] == float("inf")
    [count] = [v for name, _, v in samples if name.endswith("_count")]
    assert bounds[-1][1] == count


def parse(text):
    assert text.endswith("# EOF\n") and text.count("# EOF") == 1
    families, current, out = {}, None, {}
    for line in text.split("\n")[:-2]:
        meta = re.fullmatch(rf"# (HELP|TYPE|UNIT) ({NAME}) (.+)", line)
        if meta:
            what, family, value = meta.groups()
            if family != current:
                assert family not in families, f"{family}: in two places"
                current, families[family] = family, {"samples": []}
            row = families[family]
            assert not row["samples"] and what.lower() not in row, line
            row[what.lower()] = value
            if what == "UNIT":
                assert family.endswith("_" + value), line
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample, line
        name, labels, value = sample.groups()
        assert family_of(name, {current: families[current]}) == current
        families[current]["samples"].append((name, labels or "", float(value)))
        key = name + ("{" + labels + "}" if labels else "")
        assert key not in out, f"{key}: twice"
        out[key] = float(value)
    for family, row in families.items():
        assert row["help"] and row["type"] in ENDINGS, family
        if row["type"] == "histogram":
            check_histogram(row["samples"])
        if row["type"] == "counter":
            assert all(v >= 0 for _, _, v in row["samples"])
    return out
