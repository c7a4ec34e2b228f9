"""The manuals: mandoc finds no fault, and what they name is there."""

import re
import shutil
import subprocess

import pytest

from daemon import BUILD, ROOT

MANUALS = sorted(p for folder in ("config", "daemon", "daemon/ctl")
                 for p in (ROOT / folder).glob("*.[578]"))
TOUR = ROOT / "daemon/mx20.7"


@pytest.mark.parametrize("manual", MANUALS, ids=lambda p: p.name)
def test_mandoc_finds_no_fault(manual):
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed")
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(manual)],
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def verbs(text):
    return set(re.findall(r"(?m)(?:`|^ *|Ql )mx20ctl ([a-z]+)", text))


def test_verbs_that_are_shown_are_there():
    told = subprocess.run([BUILD / "mx20ctl", "--help"], check=True,
                          capture_output=True, text=True).stdout
    known = set(re.findall(r"(?m)^  ([a-z]+)", told))
    readme = (ROOT / "README.md").read_text()
    for text in (TOUR.read_text(), readme):
        assert len(verbs(text)) > 5
        assert verbs(text) <= known


def test_settings_that_the_tour_names_are_there():
    named = set(re.findall(r"(?m)^\.(?:Pq )?Ic ([a-z]+\.[a-z_]+)", TOUR.read_text()))
    settings = (ROOT / "config/mx20.conf.5").read_text()
    assert len(named) > 4
    for name in named:
        assert f".B {name}\n" in settings, name


def test_what_is_installed_where_the_tour_says(tmp_path):
    subprocess.run(["make", "install", f"DESTDIR={tmp_path}", "PREFIX=/usr"],
                   cwd=ROOT, check=True, capture_output=True)
    usr = tmp_path / "usr"
    for manual in MANUALS:
        assert (usr / f"share/man/man{manual.suffix[1]}" / manual.name).is_file()
    for name in re.findall(r"(?m)^\.Pa ((?:lib|share)/\S+)", TOUR.read_text()):
        assert (usr / name).exists(), name
    assert (usr / "lib/nagios/plugins/check_mx20").stat().st_mode & 0o111
    assert (usr / "lib/systemd/system/mx20-check.timer").is_file()
    for name in ("prometheus/mx20.rules.yml", "grafana/mx20.json"):
        assert (usr / "share/doc/mx20" / name).is_file()
