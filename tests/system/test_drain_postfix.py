"""A backlog for a real Postfix, much of which it refuses."""

import collections
import re
import time

from test_drain_targets import send_many


def test_refusals_do_not_make_postfix_slow_down(mx20, postfix):
    """Postfix waits a second at each error from the tenth on, and hangs up at
    the twentieth; what runs ahead of a refusal is an error, too."""
    count = 300
    p = postfix(domains=["example.com"], main={
        "smtpd_recipient_restrictions":
            "reject_unauth_destination, check_recipient_access "
            "inline:{{bad@example.com=REJECT}}, permit"})
    d = mx20(domains=f"example.com recipients=* "
                     f"primary=[127.0.0.1]:{p.port}\n",
             conf={"bounce": {"mode": "hold"}})

    def is_bad(i):
        return i % 3 == 0 or 100 <= i < 160

    bad = sum(map(is_bad, range(count)))
    send_many(d, count, rcpt=lambda i: "bad@example.com" if is_bad(i)
              else "u@example.com")
    began = time.monotonic()
    p.start()
    d.wait_log("^delivered ", count=count - bad)
    d.wait_log("^held ", count=bad)
    assert time.monotonic() - began < 15
    got = p.wait_messages(count - bad)
    subjects = collections.Counter(
        int(re.search(rb"Subject: (\d+)", text).group(1)) for text in got)
    assert subjects == {i: 1 for i in range(count) if not is_bad(i)}
    assert "too many errors" not in d.text()
    assert d.status()["spool"]["messages"] == bad
