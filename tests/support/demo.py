#!/usr/bin/python3
"""The product's story on loopback, in one minute.

A domain's primary is down.  mx20 takes its mail, refuses what is not ours,
shows what waits, and hands everything over when the primary is back.
No root ports, no DNS, nothing outside a temporary folder.
"""

import pathlib
import smtplib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "system"))

from daemon import Mx20  # noqa: E402
from primary import Primary  # noqa: E402

MESSAGE = """\
From: Ada <ada@sender.test>\r
To: info@example.com\r
Subject: Are you there?\r
\r
Your server does not answer, but I got a 250.\r
"""


def say(text):
    print(text, flush=True)


def step(title):
    say(f"\n== {title}")


def fail(what):
    say(f"\ndemo: FAILED: {what}")
    sys.exit(1)


def expect(what, holds):
    if not holds:
        fail(what)


def offer(smtp, rcpt):
    """MAIL, RCPT and, if taken, DATA; the server's last word."""
    code, text = smtp.mail("ada@sender.test")
    expect(f"MAIL was answered {code}", code == 250)
    code, text = smtp.rcpt(rcpt)
    if code == 250:
        code, text = smtp.data(MESSAGE)
    else:
        smtp.rset()
    say(f"  to {rcpt:<24} {code} {text.decode()}")
    return code


def wait_for(what, holds, seconds):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            fail(what)
        time.sleep(0.05)


def story(daemon, primary):
    step("The allowlist: one domain, one recipient, and where its primary is")
    say("  " + daemon.domains.strip())
    say("  recipients/example.com: info")

    step(f"mx20d listens on port {daemon.port}; the primary is down")
    daemon.start()

    step("Three mails arrive")
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=20) as smtp:
        smtp.ehlo("sender.test")
        expect("good mail was refused", offer(smtp, "info@example.com") == 250)
        expect("an unknown recipient was taken",
               offer(smtp, "nobody@example.com") == 550)
        expect("a foreign domain was taken",
               offer(smtp, "info@elsewhere.test") == 550)

    wait_for("the destination was never found to be down",
             lambda: any(d["state"] == "down"
                         for d in daemon.status()["domains"]), 20)
    step("mx20ctl status: the good one waits, safe on disk")
    say(daemon.ctl("status").stdout.rstrip())
    status = daemon.status()
    expect(f"{status['spool']['messages']} messages wait, not 1",
           status["spool"]["messages"] == 1)
    step("mx20ctl queue")
    say(daemon.ctl("queue").stdout.rstrip())

    step(f"The primary comes back on port {primary.port}")
    primary.start()
    began = time.monotonic()
    wait_for("the mail did not arrive within 20 seconds",
             lambda: primary.messages, 20)
    say(f"  the mail arrived {time.monotonic() - began:.1f} s later:\n")
    message = primary.messages[0]
    say("    " + message.text.replace("\r\n", "\n    ").rstrip())
    expect("the content was changed",
           message.body.decode() == MESSAGE)

    wait_for("the spool is not empty",
             lambda: daemon.status()["spool"]["messages"] == 0, 10)
    step("mx20ctl status: nothing waits any more")
    say(daemon.ctl("status").stdout.rstrip())
    expect("mx20d did not leave cleanly", daemon.stop() == 0)


def main():
    primary = Primary(name="mail.example.com")
    daemon = Mx20(
        domains=f"example.com  primary={primary.route}\n",
        recipients={"example.com": "info\n"},
        conf={"hostname": "mx2.example.net"})
    try:
        story(daemon, primary)
    except (AssertionError, OSError, smtplib.SMTPException) as error:
        fail(str(error))
    finally:
        primary.stop()
        daemon.close()
    say("\ndemo: done: nothing lost, nothing foreign taken, nothing left")


if __name__ == "__main__":
    main()
