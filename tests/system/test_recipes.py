"""contrib/recipients: the scripts that list the recipients of other systems,
with the real thing where it is here, and what they do when it fails."""

import os
import pathlib
import shutil
import sqlite3
import subprocess

import pytest

from daemon import ROOT
from exim import BINARY, Exim

RECIPES = ROOT / "contrib" / "recipients"
SCRIPTS = sorted(p for p in RECIPES.iterdir()
                 if p.suffix == ".sh" or p.name == "publish" or
                 (p.name.startswith("from-") and p.suffix == ""))


def run(script, *args, path=None, **env):
    env = dict(os.environ, **env)
    if path:
        env["PATH"] = f"{path}:{env['PATH']}"
    return subprocess.run([str(RECIPES / script), *map(str, args)], env=env,
                          capture_output=True, text=True, timeout=60)


def lists(script, *args, **env):
    done = run(script, *args, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def refuses(why, script, *args, **env):
    done = run(script, *args, **env)
    assert done.returncode == 1 and done.stdout == "", done.stdout
    assert why in done.stderr, done.stderr


@pytest.fixture
def fake(tmp_path):
    """A program of this name that runs this shell script."""
    def make(name, text):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        program = folder / name
        program.write_text("#!/bin/sh\n" + text)
        program.chmod(0o755)
        return folder
    return make


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck")
def test_shellcheck():
    done = subprocess.run(
        ["shellcheck", "-x", "-P", str(ROOT), *map(str, SCRIPTS)], cwd=ROOT,
        capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def postfix(tmp_path):
    if not shutil.which("postconf"):
        pytest.skip("no Postfix")

    def put(name, text, kind=None):
        (tmp_path / name).write_text(text)
        if kind:
            subprocess.run(["postmap", f"{kind}:{tmp_path / name}"],
                           check=True, timeout=30)

    put("relay", "r1@relay.test OK\nr2@relay.test OK\n", "hash")
    put("text", "# none\nt1@relay.test OK\n")
    put("virtual", "v1@virtual.test a\n", "btree")
    put("aliases", "sales: a\nodd: b\n")
    subprocess.run(["postalias", f"hash:{tmp_path}/aliases"], check=True,
                   timeout=30)
    put("main.cf", f"""\
compatibility_level = 3.6
mydestination = local.test, localhost
alias_maps = hash:{tmp_path}/aliases
relay_recipient_maps = hash:{tmp_path}/relay, texthash:{tmp_path}/text
virtual_alias_maps = btree:{tmp_path}/virtual, inline:{{v2@virtual.test=a}}
""")
    return put


def test_postfix(postfix, tmp_path):
    got = lists("from-postfix", "-c", tmp_path)
    local = [a for a in got if a.endswith("@local.test")]
    assert [a for a in got if a not in local] == [
        "r1@relay.test", "r2@relay.test", "t1@relay.test", "v1@virtual.test",
        "v2@virtual.test"]
    assert {"sales@local.test", "odd@local.test", "root@local.test"} <= set(
        local)
    assert lists("from-postfix", "-c", tmp_path, "-x", "Local.test", "-x",
                 "relay.test") == ["v1@virtual.test", "v2@virtual.test"]


def test_postfix_that_cannot_be_listed(postfix, tmp_path):
    main = tmp_path / "main.cf"
    good = main.read_text()
    postfix("virtual", "v1@virtual.test a\n@virtual.test b\n", "btree")
    refuses("takes everyone (@virtual.test)", "from-postfix", "-c", tmp_path)
    main.write_text(good + "virtual_mailbox_maps = static:all\n")
    refuses("static:all cannot be listed", "from-postfix", "-c", tmp_path)
    main.write_text(good)
    (tmp_path / "relay.db").unlink()
    refuses("postmap -s hash:", "from-postfix", "-c", tmp_path)
    refuses("postconf", "from-postfix", "-c", tmp_path / "none")


@pytest.fixture
def exim():
    made = Exim(domains=("example.com",))
    conf = made.dir / "exim.conf"
    conf.write_text(conf.read_text().replace(
        "  driver = accept\n",
        "  driver = accept\n  domains = example.com\n"
        "  local_parts = ann : bob : carol\n"))
    yield made
    made.stop()


def test_exim(exim, tmp_path):
    aliases = tmp_path / "aliases"
    args = ["-e", BINARY, "-C", exim.dir / "exim.conf", "-d", "example.com"]
    aliases.write_text("# of nobody\nann: a,\n  b\nbob b\ncarol: c\nold: d\n")
    assert lists("from-exim", *args, aliases, **exim.env) == [
        "ann@example.com", "bob@example.com", "carol@example.com"]
    aliases.write_text("old: d\n")
    refuses("found nobody", "from-exim", *args, aliases, **exim.env)
    aliases.write_text("ann: a\n*: b\n")
    refuses("takes everyone", "from-exim", *args, aliases, **exim.env)
    aliases.write_text("ann: a\n")
    (exim.dir / "exim.conf").unlink()
    refuses("-bv ann@example.com", "from-exim", *args, aliases, **exim.env)


def test_sql(tmp_path):
    if not shutil.which("sqlite3"):
        pytest.skip("no sqlite3")
    base = tmp_path / "mail.db"
    with sqlite3.connect(base) as db:
        db.execute("CREATE TABLE users (local, domain, active)")
        db.executemany("INSERT INTO users VALUES (?, ?, ?)", [
            ("ann", "a.test", 1), ("bob", "b.test", 1), ("off", "a.test", 0)])
    query = "SELECT local || '@' || domain FROM users WHERE active"
    assert lists("from-sql", query, "sqlite3", base) == ["ann@a.test",
                                                         "bob@b.test"]
    assert lists("from-sql", "-x", "b.test", query, "sqlite3",
                 base) == ["ann@a.test"]
    refuses("no such column", "from-sql", "SELECT nix FROM users", "sqlite3",
            base)
    refuses("found nobody", "from-sql", query + " > 1", "sqlite3", base)
    refuses("is no address: ann", "from-sql", "SELECT local FROM users",
            "sqlite3", base)
    refuses("is not here", "from-sql", query, "no-such-client", base)


LDIF = """\
dn: cn=ann,dc=test
mail: ann@a.test
proxyAddresses: SMTP:ann@a.test
proxyAddresses: smtp:ann.b@a.test
proxyAddresses: X500:/o=x/cn=ann
proxyAddresses: sip:ann@a.test

dn:: Y249w7w=
mail:: w7xAYS50ZXN0

"""


def test_ldap(fake):
    path = fake("ldapsearch", f"cat <<'END'\n{LDIF}END\n")
    assert lists("from-ldap", "--", "-x", path=path) == [
        "ann.b@a.test", "ann@a.test", "\u00fc@a.test"]
    fake("ldapsearch", f"cat <<'END'\n{LDIF}END\n"
         "echo 'Size limit exceeded (4)' >&2\nexit 4\n")
    refuses("Size limit exceeded", "from-ldap", "--", "-x", path=path)


def test_dovecot(fake):
    path = fake("doveadm", "printf 'ann@a.test\\nbob\\n'\n")
    assert lists("from-dovecot", "-d", "b.test", path=path) == [
        "ann@a.test", "bob@b.test"]
    refuses("is no address: bob", "from-dovecot", path=path)
    fake("doveadm", "echo ann@a.test\necho 'Error: User listing returned "
         "failure' >&2\n")
    refuses("User listing", "from-dovecot", path=path)


def test_containers(fake, tmp_path):
    path = fake("docker", "cat >/dev/null\n"
                "printf 'ann@c.test\\ninfo@c.test\\n'\n")
    (tmp_path / "mailcow.conf").touch()
    assert lists("from-mailcow", tmp_path, path=path) == ["ann@c.test",
                                                          "info@c.test"]
    fake("docker", "cat >/dev/null\nprintf 'ann@c.test\\n@c.test\\n'\n")
    refuses("takes everyone", "from-mailcow", tmp_path, path=path)
    fake("docker", "cat >/dev/null\necho ann@c.test\n"
         "echo 'no such service' >&2\nexit 1\n")
    refuses("no such service", "from-mailcow", tmp_path, path=path)
    accounts = tmp_path / "postfix-accounts.cf"
    refuses("cannot be read", "from-docker-mailserver", tmp_path)
    accounts.write_text("# x\nann@d.test|{SHA512-CRYPT}$6$x\n")
    (tmp_path / "postfix-virtual.cf").write_text(
        "info@d.test ann@d.test\n")
    assert lists("from-docker-mailserver", tmp_path) == ["ann@d.test",
                                                         "info@d.test"]
    (tmp_path / "postfix-regexp.cf").write_text("/^x.*@d.test$/ ann@d.test\n")
    refuses("by pattern", "from-docker-mailserver", tmp_path)


def test_mailu(fake, tmp_path):
    if not shutil.which("jq"):
        pytest.skip("no jq")
    export = ('{"domain":[{"name":"u.test","alternatives":["v.test"]}],'
              '"user":[{"email":"ann@u.test"}],'
              '"alias":[{"email":"info@u.test","wildcard":%s}]}')
    path = fake("docker", f"echo '{export % 'false'}'\n")
    assert lists("from-mailu", tmp_path, path=path) == [
        "ann@u.test", "ann@v.test", "info@u.test", "info@v.test"]
    fake("docker", f"echo '{export % 'true'}'\n")
    refuses("with a wildcard", "from-mailu", tmp_path, path=path)


def test_publish_replaces_whole_lists_alone(tmp_path):
    target = tmp_path / "users"
    assert lists("publish", target, "echo", "ann@a.test") == []
    assert target.read_text() == "ann@a.test\n"
    assert target.stat().st_mode & 0o777 == 0o644
    before = target.stat()
    refuses("stays as it is", "publish", target, "false")
    refuses("stays as it is", "publish", target, "true")
    refuses("stays as it is", "publish", target, "sh", "-c",
            "echo bob@a.test; exit 1")
    refuses("expected /FILE", "publish", "users", "echo", "x")
    lists("publish", target, "echo", "ann@a.test")  # the same
    assert target.stat().st_ino == before.st_ino
    assert target.stat().st_mtime_ns == before.st_mtime_ns
    lists("publish", target, "printf", "ann@a.test\\nbob@a.test\\n")
    assert target.read_text() == "ann@a.test\nbob@a.test\n"
    assert [p.name for p in tmp_path.iterdir()] == ["users"]


def test_publish_pushes_and_reloads(fake, tmp_path):
    path = fake("rsync", f"for a; do :; done\necho \"$a\" >>{tmp_path}/said\n")
    fake("ssh", f"echo \"$*\" >>{tmp_path}/said\n")
    lists("publish", "root@mx2.test:/etc/mx20/recipients/a.test", "echo",
          "ann@a.test", path=path)
    assert pathlib.Path(tmp_path, "said").read_text() == (
        "root@mx2.test:/etc/mx20/recipients/a.test\n"
        "-o BatchMode=yes root@mx2.test mx20ctl reload\n")
    fake("ssh", "exit 1\n")
    refuses("does not take the list", "publish", "mx2.test:/f", "echo",
            "ann@a.test", path=path)
