"""Completion in bash and zsh: it offers what mx20ctl takes, and all of it."""

import os
import pathlib
import shutil
import subprocess

import pytest

from client import send
from daemon import BUILD
from faults import until
from test_ctl import bare
from test_terminal import usage

HERE = pathlib.Path(__file__).parents[2] / "contrib" / "completion"
BASH = """
source "$1"; shift
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_mx20ctl
printf '%s\\n' "${COMPREPLY[@]}"
"""
# as the shell calls it, but that what is offered is printed
ZSH = """
compadd() { shift; print -l -- "$@" }
_files() { print FILES }
file=$1; shift
words=("$@"); CURRENT=$#
source $file
"""


def ask(shell, *words):
    """What may stand in the place of the last word, which may be begun."""
    path = f"{pathlib.Path(BUILD).resolve()}:{os.environ['PATH']}"
    name = "mx20ctl.bash" if shell == "bash" else "_mx20ctl"
    done = subprocess.run(
        [shell, *(["--norc", "-c"] if shell == "bash" else ["-fc"]),
         BASH if shell == "bash" else ZSH, shell, str(HERE / name), "mx20ctl",
         *words], env={"PATH": path}, capture_output=True, text=True,
        timeout=30)
    assert done.stderr == ""
    return [w for w in done.stdout.splitlines() if w.startswith(words[-1])]


@pytest.fixture(params=["bash", "zsh"])
def shell(request):
    if shutil.which(request.param) is None:
        pytest.skip(f"no {request.param}")
    return request.param


def options():
    """Every option that --help explains, but those of no verb."""
    words = bare("--help").stdout.split("\n\n", 2)[2].replace(",", " ").split()
    return sorted({w for w in words if w.startswith("--")} -
                  {"--config", "--help", "--version"})


def is_taken(verb, option):
    done = bare("-c", "/nonexistent", verb, option, "x")
    return f"takes no {option}" not in done.stderr


def test_verbs(shell):
    verbs = [w for w in ask(shell, "") if not w.startswith("-")]
    assert verbs == list(usage())
    assert set(ask(shell, "re")) == {v for v in verbs if v.startswith("re")}


def test_each_verb_is_offered_what_it_takes(shell):
    for verb in usage():
        offered = set(ask(shell, "-c", "/nonexistent", verb, "--"))
        assert offered == {o for o in options() if is_taken(verb, o)}, verb


@pytest.mark.parametrize("option", ["--state", "--sort"])
def test_values_are_taken(shell, option):
    words = ask(shell, "queue", option, "")
    assert len(words) >= 6
    for word in words:
        done = bare("-c", "/nonexistent", "queue", option, word)
        assert done.returncode == 1, done.stderr  # not 2: usage


def test_several_states(shell):
    assert ask(shell, "queue", "--state", "ready,d") == [
        "ready,deferred", "ready,delivered"]
    words = ask(shell, "queue", "--state", "ready,held,")
    assert "ready,held,refused" in words and len(words) == 6
    for word in words:
        done = bare("-c", "/nonexistent", "queue", "--state", word)
        assert done.returncode == 1, done.stderr  # not 2: usage


def test_what_waits(shell, mx20, primary):
    p = primary()
    d = mx20(domains=f"example.com recipients=* primary={p.route}\n")
    qid = send(d.address)
    d.wait_log("^state .*to=down")
    until(lambda: d.status()["domains"][0]["targets"])
    conf = ["-c", str(d.conf_path)]
    assert ask(shell, *conf, "show", qid[:5]) == [qid]
    assert ask(shell, *conf, "status", "exa") == ["example.com"]
    assert ask(shell, *conf, "hold", "--domain", "") == ["example.com"]
    [target] = ask(shell, *conf, "flush", "--destination", "")
    assert target == f"[127.0.0.1]:{p.port}"
    if shell == "bash":  # goes on behind the colon
        done = subprocess.run(
            ["bash", "--norc", "-c", BASH, "bash", str(HERE / "mx20ctl.bash"),
             str(BUILD / "mx20ctl"), *conf, "flush", "--destination",
             "[127.0.0.1]:"], capture_output=True, text=True, timeout=30)
        assert done.stdout == f"{p.port}\n"
