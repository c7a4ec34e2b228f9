"""The container: its entry point and its health check, run as scripts in a copy of
this machine's root, as the container's user; and what its files promise."""

import re

import pytest

from daemon import BUILD, ROOT
from rootfs import RootFs

ENTRY = "/usr/local/bin/mx20-entrypoint"
FOLDER = ROOT / "contrib/container"
TWO = {"MX20_HOSTNAME": "mx2.test",
       "MX20_DOMAINS": "example.com example.org=mail.example.org"}
# what is given to mx20d --check instead of to a daemon that goes on
CHECK = f"{ENTRY} --check"


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """As the Containerfile leaves it, as far as the entry point can see."""
    try:
        root = RootFs(tmp_path_factory.mktemp("image"))
    except OSError as error:
        pytest.skip(f"no overlay: {error}")
    root.put(ENTRY, FOLDER / "entrypoint", 0o755)
    root.put("/usr/local/bin/mx20d", BUILD / "mx20d", 0o755)
    root.put("/usr/local/bin/mx20ctl", BUILD / "mx20ctl", 0o755)
    root.ok("groupadd -f --system mx20; id mx20 >/dev/null 2>&1 ||"
            " useradd --system --gid mx20 mx20; rm -rf /etc/mx20;"
            "mkdir -p /etc/mx20 /run/mx20 /var/spool/mx20 /vol;"
            "chown mx20:mx20 /etc/mx20 /run/mx20")
    yield root
    root.close()


@pytest.fixture
def box(image):
    """One container: an empty /etc/mx20, a volume for the spool."""
    image.ok("rm -rf /etc/mx20/* /vol/*; chown mx20:mx20 /vol;"
             "mkdir -p /vol/spool && chown mx20:mx20 /vol/spool")
    return image


def mounted(script, what="mount --bind /vol/spool /var/spool/mx20"):
    """The script where that is mounted, which an overlay's folder is not."""
    return (f"unshare -mn sh -c 'mount -t proc proc /proc && {what} && exec "
            f"setpriv --reuid mx20 --regid mx20 --clear-groups sh -c "
            f'"{script}"' "'")


def run(box, env, script=CHECK, what="mount --bind /vol/spool /var/spool/mx20"):
    words = " ".join(f"{k}='\\''{v}'\\''" for k, v in env.items())
    return box.run(mounted(f"env {words} {script}", what))


def test_two_variables_are_enough(box):
    status, said = run(box, TWO)
    assert status == 0, said
    assert "made one of MX20_" in said
    conf = box.ok("cat /etc/mx20/mx20.conf")
    assert 'hostname = "mx2.test";' in conf
    assert "tls" not in conf and "web" not in conf
    assert box.ok("sed 1d /etc/mx20/domains").splitlines() == [
        "example.com recipients=verify",
        "example.org recipients=verify primary=mail.example.org"]


def test_all_variables(box):
    box.ok("cd /etc/mx20 && openssl req -x509 -newkey ed25519 -nodes -days 2"
           " -subj /CN=mx2.test -keyout key.pem -out cert.pem 2>&1 &&"
           " chown mx20 *.pem && mkdir recipients &&"
           " echo bob >recipients/example.com")
    status, said = run(box, dict(
        TWO, MX20_CERTIFICATE="/etc/mx20/cert.pem",
        MX20_KEY="/etc/mx20/key.pem", MX20_WEB="127.0.0.1:8020"))
    assert status == 0, said
    conf = box.ok("cat /etc/mx20/mx20.conf")
    assert 'certificate = "/etc/mx20/cert.pem"' in conf
    assert 'key = "/etc/mx20/key.pem"' in conf
    assert 'web = { listen = "127.0.0.1:8020"; };' in conf
    # a file of recipients that is there counts
    assert box.ok("sed -n 2p /etc/mx20/domains") == \
        "example.com recipients=recipients/example.com\n"


def test_the_next_start_makes_it_anew(box):
    run(box, TWO)
    status, said = run(box, dict(TWO, MX20_HOSTNAME="other.test"))
    assert status == 0, said
    assert 'hostname = "other.test";' in box.ok("cat /etc/mx20/mx20.conf")


def test_what_is_mounted_is_left_alone(box):
    mine = 'hostname = "mine.test";\ndomains = "domains";\n'
    box.put("/etc/mx20/mx20.conf", mine)
    box.put("/etc/mx20/domains", "example.net recipients=*\n")
    status, said = run(box, TWO)
    assert status == 0, said
    assert "MX20_... are not looked at" in said
    assert box.ok("cat /etc/mx20/mx20.conf") == mine
    box.ok("rm /etc/mx20/mx20.conf")
    status, said = run(box, {"MX20_HOSTNAME": "mx2.test"})
    assert status == 0, said
    assert "domains is mounted" in said
    assert box.ok("cat /etc/mx20/domains") == "example.net recipients=*\n"


@pytest.mark.parametrize("env, word", [
    ({}, "MX20_DOMAINS"),
    ({"MX20_DOMAINS": "example.com"}, "set MX20_HOSTNAME"),
    ({"MX20_HOSTNAME": "mx2.test"}, "set MX20_DOMAINS"),
    (dict(TWO, MX20_HOSTNAME='a"; user = "root'), "MX20_HOSTNAME: no quotes"),
])
def test_what_is_missing_or_wrong_is_said(box, env, word):
    env = {k: v.replace('"', '\\\\\\"') for k, v in env.items()}
    status, said = run(box, env)
    assert status == 78, said
    assert word in said


@pytest.mark.parametrize("mount, word", [
    ("true", "part of the container"),
    ("mount -t tmpfs none /var/spool/mx20", "in memory"),
    ("mkdir -p /vol/foreign && mount --bind /vol/foreign /var/spool/mx20",
     "cannot be written by uid"),
])
def test_mail_is_not_kept_where_it_would_be_lost(box, mount, word):
    status, said = run(box, TWO, what=mount)
    assert status == 78, said
    assert word in said


def test_the_spool_of_a_mounted_configuration_is_looked_at(box):
    box.put("/etc/mx20/domains", "example.net recipients=*\n")
    box.ok("mkdir -p /srv/spool && chown mx20 /srv/spool")
    box.put("/etc/mx20/mx20.conf", 'hostname = "mine.test";\n'
            'domains = "domains"; # spool = { path = "/vol/spool"; }\n'
            'spool = {\n  // here\n  size = "1G";\n'
            '  path = "/srv/spool";\n};\n')
    status, said = run(box, {})
    assert status == 78 and "/srv/spool is part of the container" in said
    status, said = run(box, {}, what="mount --bind /vol/spool /srv/spool")
    assert status == 0, said


def test_it_serves_is_healthy_and_leaves(box):
    """The daemon itself; the health check as the Containerfile has it."""
    text = (FOLDER / "Containerfile").read_text()
    health = re.search(r"HEALTHCHECK [^\n]*\\\n +CMD (.*)", text)[1]
    box.put("/health", f"#!/bin/sh\n{health}\n", 0o755)
    box.put("/life", f"""#!/bin/sh
{ENTRY} & pid=$!
for i in $(seq 300); do /health && break; sleep 0.2; done
/health; echo "up $?"
mx20ctl status >/dev/null; echo "ctl $?"
kill -TERM $pid; wait $pid; echo "left $?"
/health; echo "down $?"
""", 0o755)
    box.put("/etc/mx20/domains", "example.com recipients=*\n")
    box.put("/etc/mx20/mx20.conf", 'hostname = "mx2.test";\n'
            'domains = "domains";\n'
            'listen = ( { address = "127.0.0.1"; port = 2525; } );\n'
            'dns = { servers = [ "127.0.0.1@1" ]; };\n')
    status, said = run(box, {}, "/life", what="ip link set lo up &&"
                       " mount --bind /vol/spool /var/spool/mx20")
    assert re.search(r"(?m)^up 0$", said), said
    assert re.search(r"(?m)^ctl 0$", said), said
    assert re.search(r"(?m)^left 0$", said), said
    assert re.search(r"(?m)^down [^0]", said), said


def test_compose_files_name_what_there_is():
    yaml = pytest.importorskip("yaml")
    entry = (FOLDER / "entrypoint").read_text()
    base = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    service = base["services"]["mx20"]
    assert {v.split(":")[0] for v in service["volumes"]} == set(base["volumes"])
    assert (FOLDER / service["build"]["context"] /
            service["build"]["dockerfile"]).is_file()
    for file in FOLDER.glob("compose*.yaml"):
        given = yaml.safe_load(file.read_text())["services"]["mx20"]
        assert given["environment"]
        for name in given["environment"]:
            assert f"${{{name}:-}}" in entry, (file, name)
    for file in FOLDER.glob("compose.*.yaml"):
        for script in re.findall(r"contrib/recipients/([\w-]+)",
                                 file.read_text()):
            assert (ROOT / "contrib/recipients" / script).is_file()
