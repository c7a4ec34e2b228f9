"""Who is a recipient, by what the primary says: verify, and what is learned."""

import json
import threading
import time

import pytest

from client import PATIENCE, Raw, send
from primary import Accept, Delay, Drop, Hang

NO = "550 5.1.1 no such user"
# what the system's clock does not wait for
FAST = {"drain": {"probe_max": "1s"}}


def users(*names):
    """A primary that has these recipients, and no others."""
    def rcpt(session, address):
        return Accept() if address in names else NO
    return rcpt


def line(p, options="", name="example.com", sources="verify"):
    return f"{name} recipients={sources} primary={p.route} {options}\n"


def rcpt(d, address="u@example.com", sender="a@sender.test"):
    """The reply to one RCPT."""
    with Raw(d.address) as raw:
        raw.cmd("EHLO client.test")
        raw.cmd(f"MAIL FROM:<{sender}>")
        return raw.cmd(f"RCPT TO:<{address}>")


def asked(p, address):
    return sum(s.transcript.count(f"RCPT TO:<{address}>")
               for s in p.sessions)


def recipient(d, address, *options):
    run = d.ctl("recipient", address, "--json", *options)
    return json.loads(run.stdout)


def wait_for(what):
    """Until it is true: what is learned has no event."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_yes_and_no_and_what_is_known_is_not_asked_again(mx20, primary):
    p = primary(on={"rcpt": users("u@example.com")}).start()
    d = mx20(domains=line(p))
    assert rcpt(d).startswith("250 ")
    assert rcpt(d, "v@example.com").startswith("550 5.1.1 ")
    d.wait_log("^rejected .*reason=unknown_recipient.*setting=recipients")
    for _ in range(3):
        assert rcpt(d).startswith("250 ")
        assert rcpt(d, "v@example.com").startswith("550 5.1.1 ")
    assert asked(p, "u@example.com") == 1
    assert asked(p, "v@example.com") == 1
    assert all("DATA" not in s.transcript for s in p.sessions)
    assert any("MAIL FROM:<>" in s.transcript for s in p.sessions)


def test_an_outage(mx20, primary):
    """Known good in, known bad out, also after a restart."""
    p = primary(on={"rcpt": users("u@example.com")}).start()
    d = mx20(domains=line(p), conf=FAST)
    assert rcpt(d).startswith("250 ")
    assert rcpt(d, "v@example.com").startswith("550 5.1.1 ")
    p.stop()
    assert rcpt(d, "w@example.com").startswith("451 4.4.1 ")
    d.wait_log("^rejected .*reason=unknown_in_outage.*setting=policy.unknown")
    d.wait_log("^state .*to=down")
    for _ in range(2):
        assert rcpt(d).startswith("250 ")
        assert rcpt(d, "v@example.com").startswith("550 5.1.1 ")
        assert rcpt(d, "w@example.com").startswith("451 4.4.1 ")
        assert rcpt(d, "postmaster@example.com").startswith("250 ")
        d.restart()
    # a question wakes the destination: the next one is asked
    assert rcpt(d, "w@example.com").startswith("451 4.4.1 ")
    p.start()
    d.wait_log("^state .*to=up", count=2)
    assert rcpt(d, "w@example.com").startswith("550 ")
    send(d.address)
    p.wait_messages()


@pytest.mark.parametrize("unknown, reply", [
    ("accept", "250 "), ("reject", "550 5.1.1 "), ("defer", "451 4.4.1 ")])
def test_the_option_decides_in_an_outage(mx20, primary, unknown, reply):
    p = primary()
    d = mx20(domains=line(p, f"unknown={unknown}"))
    assert rcpt(d).startswith(reply)


def test_other_sources_are_asked_first(mx20, primary):
    p = primary(on={"rcpt": users("v@example.com")}).start()
    d = mx20(domains=line(p, sources="recipients/list,verify"),
             recipients={"list": "u@example.com\n"})
    assert rcpt(d).startswith("250 ")
    assert rcpt(d, "v@example.com").startswith("250 ")
    assert rcpt(d, "w@example.com").startswith("550 ")
    assert not asked(p, "u@example.com")
    # who is listed is never refused by what was learned
    send(d.address)
    wait_for(lambda: asked(p, "u@example.com"))
    assert rcpt(d).startswith("250 ")


def test_a_tag(mx20, primary):
    p = primary(on={"rcpt": users("u@example.com", "u+x@example.com")}).start()
    d = mx20(domains=line(p, "delimiter=+"))
    assert rcpt(d).startswith("250 ")
    assert rcpt(d, "u+y@example.com").startswith("250 ")
    assert not asked(p, "u+y@example.com")
    assert rcpt(d, "v+y@example.com").startswith("550 ")


def test_a_hundred_at_once_are_one_question(mx20, primary):
    gate = threading.Event()

    def slowly(session, address):
        if address == "u@example.com":
            gate.wait(PATIENCE)
        return users("u@example.com")(session, address)

    p = primary(on={"rcpt": slowly}).start()
    d = mx20(domains=line(p), conf={"limits": {
        "connections_per_client": 200}})
    clients = [Raw(d.address) for _ in range(100)]
    for raw in clients:
        raw.send("EHLO client.test\r\n")
    for raw in clients:
        raw.reply()
        raw.send("MAIL FROM:<>\r\n")
    for raw in clients:
        raw.reply()
        raw.send("RCPT TO:<u@example.com>\r\n")
    # all of them wait: whoever comes later is served meanwhile
    assert rcpt(d, "x@other.test").startswith("550 5.7.1")
    gate.set()
    for raw in clients:
        assert raw.reply().startswith("250 ")
        raw.close()
    assert asked(p, "u@example.com") == 1


def test_explain_in_an_outage(mx20, primary):
    d = mx20(domains=line(primary()))  # never started
    assert rcpt(d).startswith("451 4.4.1 ")
    told = json.loads(d.ctl("explain", "--client", "192.0.2.1", "--to",
                            "u@example.com", "--json").stdout)
    assert told["reply"].startswith("451 4.4.1 ")
    assert told["reason"] == "unknown_in_outage"


def test_a_primary_that_hangs(mx20, primary):
    """The client has an answer, others are served, and it is no outage."""
    p = primary(on={"rcpt": Hang()}).start()
    d = mx20(domains=line(p), conf={"policy": {"verify_timeout": "1s"}})
    told = json.loads(d.ctl("explain", "--client", "192.0.2.1", "--to",
                            "user@example.com", "--json").stdout)
    assert "would be asked: recipients=verify" in [
        g["detail"] for g in told["gates"]]
    assert told["reply"].startswith("250")
    raw = Raw(d.address)
    raw.cmd("EHLO client.test")
    raw.cmd("MAIL FROM:<a@sender.test>")
    begin = time.monotonic()
    raw.send("RCPT TO:<u@example.com>\r\n")
    assert rcpt(d, "x@other.test").startswith("550 5.7.1")
    assert raw.reply().startswith("450 4.1.1 ")
    assert 0.9 < time.monotonic() - begin < 1 + 1 + 2  # a loaded machine
    d.wait_log("^rejected .*reason=unverified_recipient"
               ".*setting=policy.verify_timeout")
    raw.close()
    status = json.loads(d.ctl("status", "--json").stdout)
    assert all(x["state"] != "down" for x in status["domains"])
    assert not any("to=down" in x for x in d.log)


def test_who_is_slow_has_answered_when_they_come_back(mx20, primary):
    p = primary(on={"rcpt": Delay(2.5, NO)}).start()
    d = mx20(domains=line(p), conf={"policy": {"verify_timeout": "1s"},
                                    "log": {"level": "debug"}})
    assert rcpt(d).startswith("450 4.1.1 ")
    d.wait_log("^callout .*to=<u@example.com>.*result=no")
    d.wait_log("^callout .*to=<nobody-.*result=no")
    assert rcpt(d).startswith("550 5.1.1 ")
    assert asked(p, "u@example.com") == 1


@pytest.mark.parametrize("script", [
    {"rcpt": "450 4.2.1 greylisted"},
    {"rcpt": "451 4.7.1 greylisted"},
    {"rcpt": "550 5.7.1 not you"},
    {"mail": "451 4.3.0 half broken"},
    {"mail": "550 5.7.1 not you"},
    {"rcpt": Drop()},
])
def test_what_says_nothing(mx20, primary, script):
    """It is told to come again, and nothing is learned."""
    p = primary(on=script).start()
    d = mx20(domains=line(p) + line(p, "unknown=reject", "r.test")
             + line(p, "unknown=accept", "a.test"))
    assert rcpt(d).startswith("450 4.1.1 ")
    assert recipient(d, "u@example.com")["known"] == "unknown"
    assert rcpt(d, "u@r.test").startswith("550 5.1.1 ")
    assert rcpt(d, "u@a.test").startswith("250 ")
    assert not any("to=down" in x for x in d.log)


def test_the_null_sender_is_refused(mx20, primary):
    def mail(session, rest):
        return "550 5.7.1 no bounces" if rest.startswith("FROM:<>") \
            else Accept()

    p = primary(on={"mail": mail, "rcpt": users("u@example.com")}).start()
    d = mx20(domains=line(p))
    assert rcpt(d).startswith("250 ")
    assert rcpt(d, "v@example.com").startswith("550 5.1.1 ")
    spoken = [x for s in p.sessions for x in s.transcript]
    assert "MAIL FROM:<postmaster@mx2.test>" in spoken
    assert spoken.count("MAIL FROM:<>") == 1  # it is known now


def test_catch_all(mx20, primary):
    """One that takes everyone teaches nothing."""
    p = primary().start()
    d = mx20(domains=line(p), conf=FAST)
    assert rcpt(d).startswith("250 ")
    d.wait_log("^catch-all domain=example.com")
    assert rcpt(d).startswith("250 ")
    assert recipient(d, "u@example.com")["known"] == "unknown"
    assert "catch-all" in d.ctl("status", "example.com").stdout
    strange = {x for s in p.sessions for x in s.transcript if "nobody-" in x}
    assert len(strange) == 1
    p.stop()
    assert rcpt(d).startswith("451 4.4.1 ")


def test_learned_from_deliveries(mx20, primary):
    """What came in during an outage teaches at its end."""
    p = primary(on={"rcpt": users("u@example.com")})
    d = mx20(domains=line(p, "unknown=accept"), conf=FAST)
    send(d.address)
    send(d.address, rcpts=("v@example.com",), sender="")
    p.start()
    p.wait_messages()
    wait_for(lambda: recipient(d, "v@example.com")["known"] == "no")
    wait_for(lambda: recipient(d, "u@example.com")["known"] == "yes")
    got = recipient(d, "v@example.com")
    assert got["source"] == "learned"
    assert got["reply"] == NO
    p.stop()
    assert rcpt(d).startswith("250 ")
    assert rcpt(d, "v@example.com").startswith("550 5.1.1 ")


def test_a_parameter_that_was_refused_teaches_nothing(mx20, primary):
    def particular(session, address):
        if "NOTIFY" not in session.transcript[-1]:
            return users("u@example.com")(session, address)
        return NO if address == "v@example.com" else "501 5.5.4 what?"

    p = primary(on={"rcpt": particular})
    d = mx20(domains=line(p, "unknown=accept"), conf=FAST)
    send(d.address, rcpts=("v@example.com", "u@example.com"), sender="",
         rcpt_options=("NOTIFY=NEVER",))
    p.start()
    p.wait_messages()
    # the trial of the domain is over
    wait_for(lambda: recipient(d, "u@example.com")["known"] == "yes")
    assert recipient(d, "v@example.com")["known"] == "unknown"


def test_recipient(mx20, primary):
    names = ["u@example.com"]
    p = primary(on={"rcpt": lambda s, a: Accept() if a in names else NO})
    p.start()
    d = mx20(domains=line(p, sources="recipients/list,verify"),
             recipients={"list": "listed@example.com\n"})
    assert recipient(d, "listed@example.com")["source"] == "file"
    got = recipient(d, "u@example.com")
    assert set(got) == {"address", "domain", "known", "source", "since",
                        "expires", "reply"}
    assert (got["known"], got["source"], got["since"]) == (
        "unknown", "none", None)
    assert got["address"] == "u@example.com"
    assert got["domain"] == "example.com"
    got = recipient(d, "v@example.com", "--recheck")
    assert (got["known"], got["source"], got["reply"]) == (
        "no", "callout", NO)
    assert got["since"] < got["expires"]
    names.append("v@example.com")
    assert rcpt(d, "v@example.com").startswith("550 ")
    assert recipient(d, "v@example.com", "--recheck")["known"] == "yes"
    assert rcpt(d, "v@example.com").startswith("250 ")
    assert recipient(d, "v@example.com", "--forget")["known"] == "unknown"
    names.remove("v@example.com")
    assert rcpt(d, "v@example.com").startswith("550 ")
    assert "no" in d.ctl("recipient", "v@example.com").stdout
    assert d.ctl("recipient", "x@other.test", check=False).returncode == 1
    assert d.ctl("recipient", "nonsense", check=False).returncode == 1


def test_what_is_known_outlives_a_crash(mx20, primary):
    p = primary(on={"rcpt": users("u@example.com")}).start()
    d = mx20(domains=line(p), conf=FAST)
    assert rcpt(d).startswith("250 ")
    send(d.address)  # a commit takes along what was learned before it
    p.wait_messages()
    d.wait_empty()
    d.kill()
    p.stop()
    d.start()
    assert rcpt(d).startswith("250 ")


def test_many_strangers_ask_gently(mx20, primary):
    """A few connections at most, whatever clients do."""
    p = primary(on={"rcpt": Delay(0.02, NO)}).start()
    d = mx20(domains=line(p))
    threads = [threading.Thread(target=lambda n=n: [
        rcpt(d, f"x{n}-{i}@example.com") for i in range(3)])
        for n in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert p.most_sessions <= 3


def test_postfix(mx20, postfix):
    """Real maps: relay_recipient_maps, and users of the host itself."""
    def maps(p, name, *users):
        (p.dir / name).write_text("".join(f"{u} ok\n" for u in users))
        return f"texthash:{p.dir}/{name}"

    p = postfix(main={"relay_domains": "example.com",
                      "virtual_mailbox_domains": "",
                      "mydestination": "local.test",
                      "transport_maps": "inline:{example.com=discard:}"})
    for setting in (
            "relay_recipient_maps = " + maps(p, "relay", "u@example.com"),
            "local_recipient_maps = " + maps(p, "local", "root")):
        with open(p.conf / "main.cf", "a") as conf:
            conf.write(setting + "\n")
    p.start()
    d = mx20(domains=line(p) + line(p, name="local.test"), conf=FAST)
    for good, bad in (("u@example.com", "v@example.com"),
                      ("root@local.test", "v@local.test")):
        assert rcpt(d, good).startswith("250 ")
        assert rcpt(d, bad).startswith("550 5.1.1 ")
    p.stop()
    assert rcpt(d).startswith("250 ")
    assert rcpt(d, "v@example.com").startswith("550 5.1.1 ")
    assert rcpt(d, "root@local.test").startswith("250 ")
    assert rcpt(d, "v@local.test").startswith("550 5.1.1 ")
    assert rcpt(d, "w@local.test").startswith("451 4.4.1 ")


def test_exim(mx20, exim):
    p = exim(users=("u",)).start()
    d = mx20(domains=line(p), conf=FAST)
    assert rcpt(d).startswith("250 ")
    assert rcpt(d, "v@example.com").startswith("550 ")
    p.stop()
    assert rcpt(d).startswith("250 ")
    assert rcpt(d, "v@example.com").startswith("550 5.1.1 ")
