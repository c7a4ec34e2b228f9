"""The Debian package: what it installs, and what its scripts do to a daemon
that runs."""

import configparser
import os
import re
import shutil
import subprocess

import pytest

from daemon import BUILD, ROOT
from rootfs import RootFs

# What the scripts ask of systemd, and what it would answer.
SYSTEMCTL = r"""#!/bin/sh
echo "$*" >>/calls
case "$*" in
*is-active*) [ -e /active ] ;;
*is-enabled*) echo enabled ;;
*"show -p ExecStart"*)
    echo "{ path=/usr/sbin/mx20d ; argv[]=/usr/sbin/mx20d $(cat /args) ;" \
        "ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 }" ;;
*restart*) [ ! -e /broken ] ;;
esac
"""
GOOD = 'hostname = "mx2.test";\ndomains = "domains";\nuser = "root";\n'


@pytest.fixture(scope="module")
def deb(tmp_path_factory):
    """The package, built once."""
    if shutil.which("dh_auto_build") is None:
        pytest.skip("debhelper is not installed")
    if BUILD != ROOT / "build/plain":
        pytest.skip("the package holds the plain build")
    out = tmp_path_factory.mktemp("deb")
    subprocess.run(["contrib/make-deb", "1.2.3", str(out), str(BUILD)],
                   cwd=ROOT, check=True, capture_output=True,
                   env=dict(os.environ,
                            DEB_BUILD_OPTIONS="nostrip noautodbgsym"))
    [made] = out.glob("mx20_*.deb")
    return made


@pytest.fixture
def root(tmp_path):
    try:
        made = RootFs(tmp_path)
    except OSError as error:
        pytest.skip(f"no overlay: {error}")
    yield made
    made.close()


@pytest.fixture
def installed(root, deb):
    """Installed where there is no /proc and no systemd."""
    root.put("/mx20.deb", deb)
    root.said = root.ok("[ ! -e /proc/self ] && [ ! -e /run/systemd/system ]"
                        " && dpkg -i /mx20.deb")
    return root


def systemd(root, active=True, args=""):
    """From now on there is one, and mx20.service runs in it."""
    root.put("/usr/local/bin/systemctl", SYSTEMCTL, 0o755)
    root.ok("rm -f /usr/sbin/policy-rc.d")
    root.put("/args", args)
    root.put("/calls", "")
    root.ok("mkdir -p /run/systemd/system; " + (
        "touch /active" if active else ":"))
    root.put("/etc/mx20/mx20.conf", GOOD)
    root.put("/etc/mx20/domains", "example.com recipients=*\n")


def upgrade(root):
    """Returns what the scripts said and what they asked of systemd."""
    said = root.ok("dpkg --force-confold -i /mx20.deb")
    return said, root.ok("cat /calls").splitlines()


def test_installs_without_proc_and_systemd(installed):
    assert "set hostname" in installed.said
    owner = installed.ok("stat -c '%U %G %a' /var/spool/mx20")
    assert owner == "mx20 mx20 700\n"
    for line in (ROOT / "contrib/sysusers.d/mx20.conf").read_text().splitlines():
        if line.startswith(("u ", "g ")):
            installed.ok(f"getent group {line.split()[1]}")
    # and without systemd's helpers, too
    installed.ok("dpkg -r mx20; userdel mx20; rmdir /var/spool/mx20;"
                 "rm /usr/bin/systemd-sysusers /usr/bin/systemd-tmpfiles;"
                 "dpkg -i /mx20.deb")
    assert installed.ok("stat -c '%U %G %a' /var/spool/mx20") == owner
    assert installed.ok("getent passwd mx20").endswith(
        ":/var/spool/mx20:/usr/sbin/nologin\n")


def test_installing_starts_nothing(root, deb):
    root.put("/mx20.deb", deb)
    systemd(root, active=False)
    said, calls = upgrade(root)
    assert "systemctl enable --now mx20" in said
    assert calls == ["daemon-reload"]


def test_an_upgrade_restarts_the_daemon(installed):
    systemd(installed)
    said, calls = upgrade(installed)
    assert calls[0] == "daemon-reload"
    assert calls[-1] == "--quiet --system restart mx20.service"
    assert not [c for c in calls if "stop" in c.split()]
    installed.ok("rm /active; : >/calls")
    said, calls = upgrade(installed)  # one that is stopped stays so
    assert not [c for c in calls if "start" in c]


def test_an_upgrade_leaves_a_daemon_that_could_not_start_again(installed):
    systemd(installed)
    installed.put("/etc/mx20/mx20.conf", GOOD + "nonsense = 1;\n")
    said, calls = upgrade(installed)
    assert not [c for c in calls if "start" in c or "stop" in c], calls
    assert "nonsense" in said  # what is wrong
    assert "was left alone" in said
    assert "systemctl restart mx20" in said  # and what to do


def test_an_upgrade_checks_the_file_that_the_unit_names(installed):
    systemd(installed, args="-c /etc/other.conf")
    said, calls = upgrade(installed)
    assert "/etc/other.conf" in said and "was left alone" in said
    installed.ok("cp /etc/mx20/mx20.conf /etc/other.conf;"
                 "cp /etc/mx20/domains /etc/domains; : >/calls")
    installed.put("/etc/mx20/mx20.conf", "broken")
    said, calls = upgrade(installed)
    assert calls[-1] == "--quiet --system restart mx20.service"


def test_an_upgrade_says_that_the_daemon_did_not_start(installed):
    systemd(installed)
    installed.ok("touch /broken")
    said, calls = upgrade(installed)
    assert "did not start" in said


def test_removal_stops_the_socket_with_the_service(installed):
    systemd(installed)
    installed.put("/var/spool/mx20/data.mdb", "mail")
    wants = "/etc/systemd/system/multi-user.target.wants/mx20.service"
    installed.ok(f"mkdir -p $(dirname {wants}) &&"
                 f" ln -s /usr/lib/systemd/system/mx20.service {wants}")
    installed.ok("dpkg -r mx20")
    stop, *_, reload = installed.ok("cat /calls").splitlines()
    assert stop.split()[0] == "stop"
    assert {"mx20.socket", "mx20.service"} <= set(stop.split()[1:])
    assert reload == "daemon-reload"
    assert installed.ok("find /etc/systemd /var/lib/systemd -name '*mx20*'") == ""
    assert "was left alone" in installed.ok("dpkg -P mx20")
    assert installed.ok("cat /var/spool/mx20/data.mdb") == "mail"


def test_the_licence_is_in_the_package(deb):
    text = subprocess.run(
        f"dpkg-deb --fsys-tarfile {deb} | tar xO ./usr/share/doc/mx20/copyright",
        shell=True, check=True, capture_output=True, text=True).stdout
    assert "License: BSD-2-Clause" in text
    assert "2026 the mx20 authors" in text
    ours = (ROOT / "LICENSE").read_text()
    assert "(c) 2026, the mx20 authors" in ours
    assert "BSD-2-Clause" in (ROOT / "README.md").read_text()
    terms = ours[ours.index("Redistribution"):].split()
    assert text.replace("\n .\n", "\n").split()[-len(terms):] == terms


def test_the_package_is_of_this_version():
    made = re.search(r"(?m)^VERSION *:= *(\S+)", (ROOT / "Makefile").read_text())
    told = (ROOT / "contrib/debian/changelog").read_text()
    assert told.startswith(f"mx20 ({made[1]}) ")


def test_the_package_is_built_with_what_the_program_is():
    deps = (ROOT / "tests/support/deps.sh").read_text()
    build = re.search(r'(?s)^build="(.*?)"', deps, re.M)[1].split()
    control = (ROOT / "contrib/debian/control").read_text()
    wanted = re.search(r"(?s)Build-Depends:(.*?)\n\S", control)[1]
    assert {p for p in build if p.endswith("-dev")} == set(
        re.findall(r"[\w.+-]+-dev\b", wanted))


def test_scripts_to_copy_can_be_run(installed):
    assert installed.ok("find /usr/share/doc/mx20/recipients -name 'from-*'"
                        " ! -name '*.ps1' ! -perm -111; ls /usr/share/doc/mx20/"
                        "recipients/from-postfix").startswith("/usr/")


def test_the_ansible_role_can_be_read():
    role = ROOT / "contrib/ansible"
    lines = [line for file in role.glob("roles/mx20/*/*")
             for line in file.read_text().splitlines()]
    assert 50 < len(lines) < 100
    units = re.findall(r"'(mx20[\w-]*\.\w+)'",
                       (role / "roles/mx20/tasks/main.yml").read_text())
    assert len(units) == 3
    for unit in units:
        assert (ROOT / "contrib/systemd" / unit).is_file()
    if shutil.which("ansible-playbook") is None:
        pytest.skip("ansible is not installed")
    done = subprocess.run(["ansible-playbook", "--syntax-check", "-i",
                           "localhost,", str(role / "site.yml")],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_goes_away_by_itself_is_tried_for():
    """A taken port, for one: systemd gives up after five starts within ten
    seconds unless it is told otherwise."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(ROOT / "contrib/systemd/mx20.service")
    assert unit["Service"]["Restart"] == "on-failure"
    assert re.fullmatch(r"[1-5]s", unit["Service"]["RestartSec"])
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert "71" not in unit["Service"]["RestartPreventExitStatus"].split()


def test_make_deb_installs_what_it_needs(tmp_path):
    """On a machine with nothing: dpkg-query knows no package, and apt-get is
    one of ours."""
    for name, text in (("dpkg-query", "exit 1"), ("id", "echo 0"), ("tee", "cat"),
                       ("chmod", ":"), ("rm", ":"),
                       ("apt-get", 'echo "$@" >>"$CALLS"')):
        tool = tmp_path / name
        tool.write_text(f"#!/bin/sh\n{text}\n")
        tool.chmod(0o755)
    plan = subprocess.run(["make", "-n", "deb"], cwd=ROOT, check=True,
                          capture_output=True, text=True).stdout
    assert plan.index("tests/support/deps.sh deb") < plan.index("make-deb")
    calls = tmp_path / "calls"
    subprocess.run([ROOT / "tests/support/deps.sh", "deb"], check=True,
                   capture_output=True,
                   env=dict(os.environ, CALLS=str(calls),
                            PATH=f"{tmp_path}:{os.environ['PATH']}"))
    wanted = calls.read_text().split()
    assert {"install", "pkg-config", "libev-dev", "dpkg-dev",
            "debhelper"} <= set(wanted)
