"""A backlog for a real Postfix, much of which it refuses."""

import collections
import random
import re

from test_drain_targets import send_many


def test_refusals_do_not_make_postfix_slow_down(mx20, postfix):
    """Postfix waits a second at each error from the tenth on; what runs ahead
    of a refusal is an error, too.  This one hangs up at the tenth instead."""
    count = 300
    p = postfix(domains=["example.com"], main={
        "smtpd_hard_error_limit": 10,
        "smtpd_recipient_restrictions":
            "reject_unauth_destination, check_recipient_access "
            "inline:{{bad@example.com=REJECT}}, permit"})
    d = mx20(domains=f"example.com recipients=* "
                     f"primary=[127.0.0.1]:{p.port}\n",
             conf={"bounce": {"mode": "hold"}})
    rng = random.Random(1)
    is_bad = [rng.random() < 1 / 3 or 100 <= i < 160 for i in range(count)]
    bad = sum(is_bad)
    send_many(d, count, rcpt=lambda i: "bad@example.com" if is_bad[i]
              else "u@example.com")
    p.start()
    d.wait_log("^delivered ", count=count - bad)
    d.wait_log("^held ", count=bad)
    got = p.wait_messages(count - bad)
    subjects = collections.Counter(
        int(re.search(rb"Subject: (\d+)", text).group(1)) for text in got)
    assert subjects == {i: 1 for i in range(count) if not is_bad[i]}
    assert "too many errors" not in p.log() + d.text()
    assert d.status()["spool"]["messages"] == bad
