"""A second real primary: Exim, with and without TLS."""

import pytest

from client import message, send


def test_exim_takes_what_waited_byte_for_byte(mx20, exim):
    p = exim()
    d = mx20(domains=f"example.com recipients=* primary={p.route}\n")
    for i in range(20):
        send(d.address, content=message(
            subject=f"number {i}", body=".\r\n..\r\nend of it\r\n"))
    d.wait_log(r"^state .*to=down")
    p.start()
    got = p.wait_messages(20)
    assert all(m.endswith(b"\n\n.\n..\nend of it\n") for m in got)
    assert {f"number {i}".encode() for i in range(20)} == {
        m.split(b"Subject: ", 1)[1].split(b"\n", 1)[0] for m in got}
    d.wait_empty()


def test_exim_refuses_one_of_three(mx20, exim):
    p = exim()
    d = mx20(domains=f"example.com recipients=* primary={p.route}\n",
             conf={"bounce": {"mode": "hold"}})
    p.start()
    send(d.address, ["a@example.com", "gone@example.com", "b@example.com"])
    d.wait_log(r"^held .*to=<gone@example\.com>.*550")
    text = p.wait_messages(1)[0]
    assert b"Envelope-to" not in text
    [entry] = d.queue()
    assert [r["address"] for r in entry["recipients"]] == ["gone@example.com"]


@pytest.mark.parametrize("names, level, goes", [
    (["localhost"], "verify", True),
    (["elsewhere.test"], "verify", False),
    (["elsewhere.test"], "must", True),
])
def test_exim_with_tls(mx20, exim, pki, names, level, goes):
    p = exim(cert=pki.cert(*names))
    d = mx20(domains="example.com recipients=* "
                     f"primary=localhost:{p.port} tls={level}\n",
             conf={"tls": {"ca_file": pki.ca_file}})
    p.start()
    send(d.address)
    if goes:
        [text] = p.wait_messages(1)
        assert b"with esmtps" in text.lower()
    else:
        d.wait_log(r"^(probe|state) .*elsewhere|^probe .*(name|certificate)")
        assert p.messages() == []
