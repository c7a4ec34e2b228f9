"""Reports to the sender, parsed as their programs would (RFC 3464)."""

import email
import email.policy
import re
import smtplib
import ssl

import pytest

from client import Raw, message, send
from daemon import merge
from faults import until

NO_DSN = ["PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE", "ENHANCEDSTATUSCODES"]


class Report:
    """A delivery report as a mail program sees it."""

    def __init__(self, got):
        self.got = got
        self.mail = email.message_from_bytes(got.content,
                                             policy=email.policy.default)
        assert self.mail.get_content_type() == "multipart/report"
        self.human, self.status, self.original = self.mail.iter_parts()

    @property
    def text(self):
        return self.human.get_content()

    @property
    def message_fields(self):
        return self.status.get_payload()[0]

    @property
    def recipients(self):
        """The per-recipient blocks."""
        return self.status.get_payload()[1:]

    def check_form(self):
        assert self.got.sender == ""
        for line in self.got.content.split(b"\r\n"):
            assert len(line) <= 998 and b"\n" not in line
        assert not self.mail.defects
        assert self.mail["Auto-Submitted"] == "auto-replied"
        assert self.mail["MIME-Version"] == "1.0"
        assert "MAILER-DAEMON@mx2.test" in self.mail["From"]
        assert self.mail["Date"].datetime is not None
        assert re.fullmatch(r"<[^<>@ ]+@mx2\.test>", self.mail["Message-ID"])
        assert self.message_fields["Reporting-MTA"] == "dns; mx2.test"
        assert self.message_fields["Arrival-Date"]
        for block in self.recipients:
            assert block["Final-Recipient"] and block["Action"]
            assert re.fullmatch(r"[245]\.\d{1,3}\.\d{1,3}", block["Status"])


@pytest.fixture
def world(mx20, primary):
    """A daemon, its primary, and the server of the senders."""

    def make(on=None, offers=None, domain_options="", conf=None, **options):
        p = primary(on=on, **({"offers": offers} if offers else {}))
        home = primary(name="home.test").start()
        d = mx20(domains=f"example.com recipients=* primary={p.route}"
                         f" {domain_options}\n",
                 conf=merge({"bounce": {"relay": f"127.0.0.1:{home.port}"}},
                            conf or {}), **options)
        return d, p, home

    return make


def one_report(home):
    [got] = home.wait_messages(1)
    report = Report(got)
    report.check_form()
    return report


def no_report(d, home):
    """Everything has left the spool, and nothing went home."""
    d.wait_empty()
    assert home.messages == []


def test_refused_recipient_is_reported(world):
    d, p, home = world(on={"rcpt": "550 5.1.1 no such user here"})
    p.start()
    qid = send(d.address)
    report = one_report(home)
    assert report.got.rcpts == ["a@sender.test"]
    assert report.mail["To"] == "a@sender.test"
    [block] = report.recipients
    assert block["Final-Recipient"] == "rfc822; u@example.com"
    assert block["Action"] == "failed"
    assert block["Status"] == "5.1.1"
    assert block["Diagnostic-Code"] == "smtp; 550 5.1.1 no such user here"
    assert block["Remote-MTA"].startswith("dns; ")
    assert block["Last-Attempt-Date"]
    assert "Will-Retry-Until" not in block
    assert "u@example.com" in report.text
    assert "no such user here" in report.text
    assert report.message_fields["X-Mx20-Queue-Id"] == qid
    assert report.original.get_content_type() == "text/rfc822-headers"
    assert "Subject: test" in report.original.get_payload()
    assert "hello" not in report.original.get_payload()
    d.wait_log(f"^bounced .*mid={qid}")
    d.wait_empty()


def test_only_the_refused_recipient_is_reported(world):
    def verdict(session, address):
        return "550 5.1.1 no" if address == "bad@example.com" else None

    d, p, home = world(on={"rcpt": verdict})
    p.start()
    send(d.address, rcpts=["good@example.com", "bad@example.com"])
    report = one_report(home)
    assert [b["Final-Recipient"] for b in report.recipients] == [
        "rfc822; bad@example.com"]
    [got] = p.wait_messages(1)
    assert got.rcpts == ["good@example.com"]


@pytest.mark.parametrize("stage", ["mail", "data", "dot"])
def test_refusal_of_the_whole_message(world, stage):
    d, p, home = world(on={stage: "554 5.7.1 not this one"})
    p.start()
    send(d.address, rcpts=["u@example.com", "v@example.com"])
    report = one_report(home)
    assert {b["Final-Recipient"] for b in report.recipients} == {
        "rfc822; u@example.com", "rfc822; v@example.com"}
    assert {b["Status"] for b in report.recipients} == {"5.7.1"}


def test_ret_full_returns_the_message(world):
    d, p, home = world(on={"rcpt": "550 5.1.1 no"})
    p.start()
    send(d.address, mail_options=["RET=FULL"],
         content=message(body="the text\r\n"))
    report = one_report(home)
    assert report.original.get_content_type() == "message/rfc822"
    [inner] = report.original.get_payload()
    assert inner["Subject"] == "test"
    assert inner.get_content() == "the text\r\n" or \
        inner.get_content() == "the text\n"


def test_ret_hdrs_returns_the_header(world):
    d, p, home = world(on={"rcpt": "550 5.1.1 no"})
    p.start()
    send(d.address, mail_options=["RET=HDRS"])
    report = one_report(home)
    assert report.original.get_content_type() == "text/rfc822-headers"


def test_a_large_message_comes_back_as_its_header(world):
    d, p, home = world(on={"rcpt": "550 5.1.1 no"})
    p.start()
    send(d.address, mail_options=["RET=FULL"],
         content=message(body="0123456789\r\n" * 20000))
    report = one_report(home)
    assert report.original.get_content_type() == "text/rfc822-headers"
    assert len(report.got.content) < 20000


def test_envid_and_orcpt_come_back_decoded(world):
    d, p, home = world(on={"rcpt": "550 5.1.1 no"})
    p.start()
    send(d.address, mail_options=["ENVID=QQ+2B314+3Dx"],
         rcpt_options=["ORCPT=rfc822;Info+2Bsales@example.org"])
    report = one_report(home)
    assert report.message_fields["Original-Envelope-Id"] == "QQ+314=x"
    assert report.recipients[0]["Original-Recipient"].replace(" ", "") == \
        "rfc822;Info+sales@example.org"


@pytest.mark.parametrize("notify", ["NEVER", "SUCCESS", "DELAY",
                                    "SUCCESS,DELAY"])
def test_a_failure_nobody_asked_for_is_not_reported(world, notify):
    d, p, home = world(on={"rcpt": "550 5.1.1 no"})
    p.start()
    send(d.address, rcpt_options=[f"NOTIFY={notify}"])
    no_report(d, home)


@pytest.mark.parametrize("notify", ["FAILURE", "FAILURE,DELAY",
                                    "SUCCESS,FAILURE"])
def test_a_failure_that_was_asked_for_is_reported(world, notify):
    d, p, home = world(on={"rcpt": "550 5.1.1 no"})
    p.start()
    send(d.address, rcpt_options=[f"NOTIFY={notify}"])
    assert one_report(home).recipients[0]["Action"] == "failed"


def test_the_null_sender_is_never_told(world):
    d, p, home = world(on={"rcpt": "550 5.1.1 no"})
    p.start()
    send(d.address, sender="")
    no_report(d, home)


def test_a_report_that_fails_makes_no_report(world):
    d, p, home = world(on={"rcpt": "550 5.1.1 no"})
    home.on["rcpt"] = "550 5.1.1 no such sender"
    p.start()
    send(d.address)
    home.wait_sessions(1)
    no_report(d, home)


def test_success_is_reported_when_the_next_hop_cannot(world):
    d, p, home = world(offers=NO_DSN)
    p.start()
    send(d.address, rcpt_options=["NOTIFY=SUCCESS"])
    p.wait_messages(1)
    [block] = one_report(home).recipients
    assert block["Action"] == "relayed"
    assert block["Status"].startswith("2.")


def test_success_is_the_next_hops_business_when_it_can(world):
    d, p, home = world()
    p.start()
    send(d.address, mail_options=["ENVID=e1", "RET=HDRS"],
         rcpt_options=["NOTIFY=SUCCESS,FAILURE",
                       "ORCPT=rfc822;u@example.com"])
    [got] = p.wait_messages(1)
    assert "NOTIFY=SUCCESS,FAILURE" in got.rcpt_params[0]
    assert "ORCPT=rfc822;u@example.com" in got.rcpt_params[0]
    assert {"ENVID=e1", "RET=HDRS"} <= set(got.params)
    no_report(d, home)


def test_nothing_a_primary_says_breaks_the_report(world):
    evil = ("550-5.1.1 --boundary\r\n"
            "550-5.1.1 Content-Type: text/html\r\n"
            "550-5.1.1 \x01\x1b[2J\x7f caf\u00e9 " + "y" * 400 + "\r\n"
            "550-5.1.1 \r\n"
            "550 5.1.1 Action: delivered")
    d, p, home = world(on={"rcpt": evil})
    p.start()
    send(d.address)
    report = one_report(home)
    [block] = report.recipients
    assert block.get_all("Action") == ["failed"]
    assert "Content-Type: text/html" in re.sub(
        r"\s+", " ", block["Diagnostic-Code"])
    assert not set(report.got.content) & {1, 0x1b, 0x7f}


def test_eight_bit_headers_are_quoted(world):
    d, p, home = world(on={"rcpt": "550 5.1.1 no"})
    p.start()
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        c.cmd("MAIL FROM:<a@sender.test> BODY=8BITMIME")
        c.cmd("RCPT TO:<u@example.com>")
        c.cmd("DATA")
        c.send(b"Subject: caf\xe9\r\n\r\nx\r\n.\r\n")
        assert c.reply().startswith("250")
    report = one_report(home)
    assert report.original["Content-Transfer-Encoding"] == "8bit"
    assert b"Subject: caf\xe9\r\n" in report.got.content
    assert "BODY=8BITMIME" in report.got.params


def test_utf8_addresses_use_the_global_types(world):
    d, p, home = world(on={"rcpt": "550 5.1.1 no"})
    p.start()
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        assert c.cmd("MAIL FROM:<j\u00fcrgen@sender.test> SMTPUTF8"
                     ).startswith("250")
        assert c.cmd("RCPT TO:<m\u00fcller@example.com>").startswith("250")
        c.cmd("DATA")
        c.send("Subject: gr\u00fcn\r\n\r\nx\r\n.\r\n")
        assert c.reply().startswith("250")
    [got] = home.wait_messages(1)
    assert got.rcpts == ["j\u00fcrgen@sender.test"]
    assert "SMTPUTF8" in got.params
    text = got.text
    assert "report-type=global-delivery-status" in text
    assert "Content-Type: message/global-delivery-status" in text
    assert "Final-Recipient: utf-8; m\u00fcller@example.com" in text
    assert "Content-Type: message/global-headers" in text
    assert "Subject: gr\u00fcn" in text


def test_mode_hold_keeps_failed_mail(world):
    d, p, home = world(on={"rcpt": "550 5.1.1 no"},
                       conf={"bounce": {"mode": "hold"}})
    p.start()
    qid = send(d.address)
    d.wait_log(f"^held .*mid={qid}")
    until(lambda: d.queue()[0]["recipients"][0]["state"] == "held")
    [rcpt] = d.queue()[0]["recipients"]
    assert (rcpt["state"], rcpt["last_reply"]) == ("held", "550 5.1.1 no")
    [row] = d.status()["domains"]
    assert row["held"] and row["held_messages"] == 1
    assert home.messages == []
    # the operator decides after all
    assert d.ctl("bounce", qid).stdout == "1 message bounced\n"
    assert one_report(home).recipients[0]["Action"] == "failed"
    d.wait_empty()


def test_end_of_lifetime_is_reported(world):
    d, p, home = world(domain_options="lifetime=2s")
    send(d.address)  # the primary never listens
    report = one_report(home)
    [block] = report.recipients
    assert block["Action"] == "failed"
    assert block["Status"] in ("4.4.7", "5.4.7")
    assert re.search(r"kept here for \d+ seconds", report.text)
    assert "could not be reached" in " ".join(report.text.split())
    d.wait_log(r"^bounced .* reason=lifetime wait_s=[1-9]\d* ")
    assert p.messages == []


def test_delay_is_reported_once_when_configured(world):
    d, p, home = world(conf={"spool": {"warn_after": "1s"}})
    send(d.address)
    report = one_report(home)
    [block] = report.recipients
    assert block["Action"] == "delayed"
    assert block["Status"].startswith("4.")
    assert block["Will-Retry-Until"]
    p.start()
    p.wait_messages(1)
    no = len(home.messages)
    assert no == 1


def test_delay_is_not_reported_to_who_did_not_ask(world):
    d, p, home = world(conf={"spool": {"warn_after": "1s"}})
    send(d.address, rcpt_options=["NOTIFY=FAILURE"])
    send(d.address, rcpt_options=["NOTIFY=DELAY"], sender="b@sender.test")
    assert one_report(home).got.rcpts == ["b@sender.test"]
    p.start()
    p.wait_messages(2)
    assert len(home.messages) == 1


def test_operator_bounces_a_domain(world):
    d, p, home = world()
    for i in range(40):
        send(d.address, sender=f"s{i}@sender.test")
    done = d.ctl("bounce", "--domain", "example.com")
    assert done.stdout == "40 messages bounced\n"
    home.wait_messages(40)
    assert {m.rcpts[0] for m in home.messages} == {
        f"s{i}@sender.test" for i in range(40)}
    for got in home.messages:
        report = Report(got)
        report.check_form()
        assert report.recipients[0]["Action"] == "failed"
        assert "operator" in report.text
    assert p.messages == []


# -- few and small: the sender may be forged ------------------------------------

def domains_at(count, *primaries, options=""):
    return "".join(
        f"d{i}.test recipients=*"
        f" primary={primaries[i % len(primaries)].route} {options}\n"
        for i in range(count))


def test_one_report_for_a_message_to_many_domains(mx20, primary):
    refusing = [primary(on={"rcpt": "550 5.1.1 no"}).start()
                for _ in range(3)]
    home = primary(name="home.test").start()
    d = mx20(domains=domains_at(60, *refusing), conf={
        "bounce": {"relay": f"127.0.0.1:{home.port}"},
        "limits": {"recipients": 1000}})
    rcpts = [f"u{k}@d{i}.test" for i in range(60) for k in range(3)]
    send(d.address, rcpts=rcpts, content=message(body="x" * 100 + "\r\n"))
    report = one_report(home)
    assert sorted(b["Final-Recipient"] for b in report.recipients) == \
        sorted("rfc822; " + r for r in rcpts)
    assert "and other domains" in " ".join(report.text.split())
    d.wait_empty()
    assert len(home.messages) == 1
    # each is logged with the report that tells of it
    ids = {re.search(r"report=(\S+)", line).group(1) for line in d.log
           if line.startswith("bounced ")}
    assert len(ids) == 1


def test_one_success_report_for_a_message_to_many_domains(mx20, primary):
    p = primary(offers=NO_DSN).start()
    home = primary(name="home.test").start()
    d = mx20(domains=domains_at(20, p), conf={
        "bounce": {"relay": f"127.0.0.1:{home.port}"}})
    send(d.address, rcpts=[f"u@d{i}.test" for i in range(20)],
         rcpt_options=["NOTIFY=SUCCESS"])
    report = one_report(home)
    assert {b["Action"] for b in report.recipients} == {"relayed"}
    assert len(report.recipients) == 20
    d.wait_empty()
    assert len(home.messages) == 1 and len(p.messages) == 20


def test_one_warning_for_a_message_to_many_domains(mx20, primary):
    away, home = primary(), primary(name="home.test").start()
    d = mx20(domains=domains_at(20, away), conf={
        "bounce": {"relay": f"127.0.0.1:{home.port}"},
        "spool": {"warn_after": "1s"}})
    send(d.address, rcpts=[f"u@d{i}.test" for i in range(20)])
    report = one_report(home)
    assert {b["Action"] for b in report.recipients} == {"delayed"}
    assert len(report.recipients) == 20


def test_what_fails_later_is_told_later(mx20, primary):
    """Not a report for each: deferred, and told when its lifetime ends."""
    first = primary(on={"rcpt": "550 5.1.1 no"}).start()
    later = primary(on={"rcpt": "550 5.1.1 neither"})
    home = primary(name="home.test").start()
    d = mx20(domains=domains_at(2, first, later, options="lifetime=6s"),
             conf={"bounce": {"relay": f"127.0.0.1:{home.port}"}})
    qid = send(d.address, rcpts=["u@d0.test", "u@d1.test"])
    home.wait_messages(1)
    later.start()
    d.wait_log(rf'^deferred mid={qid} .*d1\.test.* reason="reported lately"')
    assert len(home.messages) == 1
    [entry] = d.queue()
    assert entry["recipients"][0]["last_reply"] == "550 5.1.1 neither"
    second = Report(home.wait_messages(2)[1])
    assert [b["Final-Recipient"] for b in second.recipients] == [
        "rfc822; u@d1.test"]
    assert "neither" in second.recipients[0]["Diagnostic-Code"]
    d.wait_empty()


def test_reports_to_one_domain_are_capped(world):
    """Those above the cap wait; nothing is lost."""
    d, p, home = world(on={"rcpt": "550 5.1.1 no"},
                       conf={"bounce": {"rate": 3}})
    p.start()
    for i in range(8):
        send(d.address, sender=f"s{i}@sender.test")
    d.wait_log(r"^bounced ", count=8)
    home.wait_messages(3)
    d.wait_log(r"^deferred .*domain=sender\.test reason=bounce\.rate")
    d.ctl("flush")  # no way round it

    def waiting():
        return [m["recipients"][0]["state"] for m in d.queue()]

    until(lambda: waiting() == ["deferred"] * 5)
    assert len(home.messages) == 3
    # another sender's domain has its own
    send(d.address, sender="t@other.test")
    assert home.wait_messages(4)[3].rcpts == ["t@other.test"]
    d.conf["bounce"]["rate"] = 0
    assert d.reload().returncode == 0
    d.ctl("flush")
    home.wait_messages(9)
    d.wait_empty()
    assert sorted(m.rcpts[0] for m in home.messages) == sorted(
        [f"s{i}@sender.test" for i in range(8)] + ["t@other.test"])


def test_the_quote_is_small(world):
    d, p, home = world(on={"rcpt": "550 5.1.1 no"})
    p.start()
    head = "".join(f"X-Long-{i}: {'y' * 500}\r\n" for i in range(100))
    send(d.address, mail_options=["RET=FULL"],
         content=head + "Subject: last\r\n\r\n" + "z" * 900 + "\r\n")
    report = one_report(home)
    quote = report.original.get_payload()
    assert 3000 < len(str(quote)) <= 4096 and "X-Long-1" in str(quote)
    assert len(report.got.content) < 8192


@pytest.mark.parametrize("way_back", ["knows it", "refuses it", "without"])
def test_a_report_on_a_requiretls_message_is_not_lost(world, pki, way_back):
    """RFC 8689 section 5: the way back may know nothing of REQUIRETLS."""
    cert = pki.cert("mx2.test")
    d, p, home = world(offers=NO_DSN,
                       conf={"tls": {"certificate": str(cert.cert_path),
                                     "key": str(cert.key_path)}})
    if way_back != "without":
        home.offers.append("REQUIRETLS")
    if way_back == "refuses it":
        home.on["mail"] = lambda _, rest: (
            "555 5.5.4 what?" if "REQUIRETLS" in rest else None)
    p.start()
    context = ssl.create_default_context(cafile=pki.ca_file)
    context.check_hostname = False
    with smtplib.SMTP(*d.address, timeout=30) as c:
        c.starttls(context=context)
        c.sendmail("a@sender.test", ["u@example.com"],
                   message(body="secret\r\n"),
                   mail_options=["RET=FULL", "REQUIRETLS"])
    report = one_report(home)
    [block] = report.recipients
    assert block["Status"] == "5.7.30"
    assert block["Diagnostic-Code"].startswith("X-mx20; ")
    assert "(REQUIRETLS)" in report.text
    assert report.original.get_content_type() == "text/rfc822-headers"
    assert "secret" not in report.got.text
    assert ("REQUIRETLS" in report.got.params) == (way_back == "knows it")
    d.wait_empty()
    assert p.messages == []


def test_a_utf8_header_needs_no_smtputf8(world):
    """Nothing in the envelope asks for more: it goes as it came."""
    d, p, home = world(offers=["PIPELINING", "8BITMIME"])
    p.start()
    for params in ("", " BODY=8BITMIME SMTPUTF8"):
        with Raw(d.address) as c:
            c.cmd("EHLO client.test")
            c.cmd("MAIL FROM:<a@sender.test>" + params)
            c.cmd("RCPT TO:<u@example.com>")
            assert c.data("From: J\u00fcrgen <a@sender.test>\r\n"
                          "Subject: Gr\u00fc\u00dfe\r\n\r\nhi\r\n.\r\n"
                          ).startswith("250")
    for got in p.wait_messages(2):
        assert got.body.startswith("From: J\u00fcrgen <a@sender.test>\r\n"
                                   "Subject: Gr\u00fc\u00dfe\r\n".encode())
        assert "SMTPUTF8" not in got.params
    no_report(d, home)


def test_a_foreign_sender_domain_has_an_ascii_form(world):
    """Towards the primary and in the report on a refusal: A-labels where
    there is no SMTPUTF8."""
    d, p, home = world(offers=["PIPELINING", "8BITMIME"],
                       on={"rcpt": [None, "550 5.1.1 no"]})
    home.offers = ["PIPELINING", "8BITMIME"]
    p.start()
    for n in range(2):
        with Raw(d.address) as c:
            c.cmd("EHLO client.test")
            assert c.cmd("MAIL FROM:<a@b\u00fccher.test> SMTPUTF8"
                         ).startswith("250")
            c.cmd("RCPT TO:<u@example.com>")
            assert c.data(message() + ".\r\n").startswith("250")
        d.wait_log("^(delivered|bounced) ", count=n + 1)
    [got] = p.wait_messages(1)
    assert got.sender == "a@xn--bcher-kva.test"
    report = one_report(home)
    assert report.got.rcpts == ["a@xn--bcher-kva.test"]
    assert report.mail["To"] == "a@xn--bcher-kva.test"
    d.wait_empty()
