"""The page as a browser has it: alone, harmless, and fit for any width."""

import html
import html.parser
import json
import os
import re
import shutil
import subprocess

import pytest

from client import send
from daemon import BUILD
from faults import FAST, Clock, allow, until
from net import PATIENCE, free_port
from web import ask

VOID = {"meta", "link", "br", "rect", "path"}
SAMPLES = ("empty", "three", "thousand", "hostile", "away")


class Checker(html.parser.HTMLParser):
    """Faults of a document that must stand by itself."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.faults, self.links = [], set(), [], []
        self.words = []
        self.feed(text)
        self.close()
        if self.open:
            self.faults.append(f"not closed: {self.open}")

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        if len(set(names)) != len(names):
            self.faults.append(f"{tag}: an attribute twice")
        if tag in ("script", "iframe", "form", "img", "object", "style"):
            self.faults.append(tag)
        for name, value in attrs:
            if name.startswith("on") or name == "style":
                self.faults.append(f"{tag} {name}={value}")
            if name in ("href", "src", "action", "data", "xlink:href"):
                self.links.append(value)
            if name == "id":
                if value in self.ids:
                    self.faults.append(f"id {value} twice")
                self.ids.add(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> in the wrong place")

    def handle_data(self, data):
        self.words.append(data)


def check(text):
    page = Checker(text)
    assert page.faults == []
    for link in page.links:
        assert re.fullmatch(r"(\./)?[a-z./]*", link), link
    assert not re.search(r"https?:|//[a-z]", re.sub(r"<!DOCTYPE[^>]*>", "",
                         "".join(page.links)))
    return "".join(page.words)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    subprocess.run([BUILD / "bench" / "bench_page", folder], check=True,
                   stdout=subprocess.DEVNULL)
    return folder


@pytest.mark.parametrize("name", SAMPLES)
def test_it_stands_by_itself_and_is_harmless(samples, name):
    raw = (samples / f"{name}.html").read_bytes()
    words = check(raw.decode("utf-8"))
    assert not re.search(rb"[\0-\x08\x0b-\x1f\x7f]", raw)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u2028]",
                         words)
    if name == "hostile":
        assert "<script>document.title='x'</script>:25" in words
        assert "onerror=alert(1)>&amp;\ufffddesrever\ufffd[31m" in words
        assert "שלום" in words


def test_its_style_brings_nothing_else(samples):
    css = (samples / "style.css").read_text()
    assert not re.search(r"url\(|@import|expression|http|//", css)
    assert css.count("{") == css.count("}")
    assert "prefers-color-scheme:dark" in css


def test_it_tells_of_what_happens(mx20, primary):
    p = primary(on={"ehlo": lambda session, argument: "421 4.3.0 <b>no</b>"})
    at = f"127.0.0.1:{free_port()}"
    d = mx20(domains=allow(p), conf={"drain": FAST, "web": {"listen": at}})
    r = ask(at, "/")
    assert r.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "script" not in r.headers["Content-Security-Policy"]
    assert "All quiet. No mail waits." in check(r.text)
    send(d.address, rcpts=["a@example.com"])
    with pytest.raises(Exception):
        send(d.address, rcpts=["a@foreign.example"])
    until(lambda: "1 destination is down. 1 message waits safely." in
          check(ask(at, "/").text))
    words = check(ask(at, "/").text)
    assert f"127.0.0.1:{p.port}" in words and "Connection refused" in words
    assert "foreign domain" in words
    p.start()  # it answers, and lets nobody in
    until(lambda: "421 4.3.0 <b>no</b>" in check(ask(at, "/").text))
    style = ask(at, "/style.css")
    assert style.headers["Content-Type"] == "text/css; charset=utf-8"
    assert ask(at, "/icon.svg").headers["Content-Type"] == "image/svg+xml"


def test_the_curve_survives_a_crash_and_grows_old(mx20, tmp_path):
    clock = Clock(tmp_path)
    at = f"127.0.0.1:{free_port()}"
    d = mx20(env=clock.env, conf={"web": {"listen": at}})
    assert "The curve begins now" in ask(at, "/").text
    until(lambda: "The last day" in ask(at, "/").text)
    d.kill()
    d.start()
    page = ask(at, "/").text
    assert "The last day" in page and "The last week" not in page
    d.stop()
    clock.set_ahead(3 * 24 * 3600)
    d.start()
    assert "The last week" in ask(at, "/").text
    d.stop()
    clock.set_ahead(400 * 24 * 3600)
    d.start()  # a year is kept
    until(lambda: "The curve begins now" in ask(at, "/").text or
          "The last week" not in ask(at, "/").text)


# ---- In a real browser, if there is one ----

CHROMIUM = shutil.which("chromium")
AXE = os.environ.get("AXE")  # axe.min.js of axe-core

MEASURE = """<script>
for (const e of document.querySelectorAll("details")) e.open = true;
const wide = document.documentElement.scrollWidth > innerWidth;
const loaded = performance.getEntriesByType("resource").map(e => e.name);
const out = (more) => document.body.setAttribute("data-seen",
	JSON.stringify({wide, loaded, title: document.title, faults: more}));
if (window.axe) axe.run().then(r => out(r.violations.map(v => v.id)));
else out([]);
</script>"""


def browse(page, width, dark, *args):
    return subprocess.run(
        [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu",
         "--hide-scrollbars", f"--window-size={width},1400",
         f"--blink-settings=preferredColorScheme={0 if dark else 1}",
         f"--user-data-dir={page.parent}/chromium", *args, page.as_uri()],
        capture_output=True, text=True, timeout=PATIENCE * 2)


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("width, dark, name", [
    (1280, False, "three"), (400, True, "three"), (400, False, "hostile"),
    (1280, True, "thousand"), (400, False, "empty")])
def test_a_browser_finds_no_fault(samples, width, dark, name):
    page = samples / f"measured-{name}-{width}.html"
    extra = f'<script src="file://{AXE}"></script>' if AXE else ""
    page.write_text((samples / f"{name}.html").read_text().replace(
        "</body>", extra + MEASURE + "</body>"))
    done = browse(page, width, dark, "--virtual-time-budget=20000",
                  "--allow-file-access-from-files", "--dump-dom")
    seen = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert seen, done.stderr[-2000:]
    seen = json.loads(html.unescape(seen[1]))
    assert not seen["wide"], "it scrolls sideways"
    assert seen["faults"] == []
    assert seen["title"] != "x"
    assert all(url.startswith("file://" + str(samples)) or AXE and AXE in url
               for url in seen["loaded"]), seen["loaded"]


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_dark_and_light_are_two(samples):
    shots = []
    for dark in (False, True):
        to = samples / f"shot-{dark}.png"
        browse(samples / "three.html", 400, dark, f"--screenshot={to}")
        shots.append(to.read_bytes())
    assert shots[0] != shots[1] and min(map(len, shots)) > 10000
