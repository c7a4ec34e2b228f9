"""The whole path of one mail: accept, keep, probe, hand over."""


from client import Raw, message, send


def domain(primary, extra="recipients=*"):
    return f"example.com {extra} primary={primary.route}\n"


def test_mail_waits_for_the_primary_and_goes_when_it_listens(mx20, primary):
    p = primary()
    d = mx20(domains=domain(p))
    content = message(body=".dot\r\n..dots\r\n\r\ntext\r\n")
    qid = send(d.address, content=content)
    d.wait_log(r"^state .*to=down")
    [row] = d.status()["domains"]
    assert (row["domain"], row["messages"], row["state"]) == (
        "example.com", 1, "down")
    [entry] = d.queue()
    assert entry["id"] == qid
    assert entry["from"] == "a@sender.test"
    assert [r["address"] for r in entry["recipients"]] == ["u@example.com"]

    p.start()
    [got] = p.wait_messages(1)
    assert got.at - p.started < 5
    assert (got.sender, got.rcpts) == ("a@sender.test", ["u@example.com"])
    assert got.body.decode() == content
    d.wait_log(f"^delivered .*mid={qid}")
    d.wait_empty()
    assert d.queue() == []


def test_a_thousand_waiting_messages_within_ten_seconds(mx20, primary):
    p = primary(offers=["PIPELINING", "8BITMIME", "SIZE", "CHUNKING"])
    d = mx20(domains=domain(p))
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        for i in range(1000):
            c.send("MAIL FROM:<a@sender.test>\r\nRCPT TO:<u@example.com>\r\n"
                   "DATA\r\n")
            assert [c.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
            c.send(message(subject=str(i)) + ".\r\n")
            assert c.reply().startswith("250")
    p.start()
    p.wait_messages(1000)
    subjects = {line for m in p.messages for line in m.text.split("\r\n")
                if line.startswith("Subject:")}
    assert len(subjects) == 1000


def test_delivery_starts_at_once_when_the_primary_is_up(mx20, primary):
    p = primary().start()
    d = mx20(domains=domain(p))
    send(d.address)
    p.wait_messages(1)


def test_postfix_takes_the_mail(mx20, postfix):
    p = postfix(domains=["example.com"])
    d = mx20(domains=domain(p))
    send(d.address, content=message(subject="for postfix",
                                    body="caf\r\n.\r\n..\r\nend\r\n"))
    d.wait_log(r"^state .*to=down")
    p.start()
    [got] = p.wait_messages(1)
    # Postfix adds Message-Id and Date below the header that came
    assert b"Subject: for postfix\n" in got
    assert got.endswith(b"\n\ncaf\n.\n..\nend\n")
    d.wait_log("^delivered ")


def test_messages_survive_a_clean_restart(mx20, primary):
    p = primary()
    d = mx20(domains=domain(p))
    sent = {send(d.address) for _ in range(5)}
    assert d.stop() == 0
    d.start()
    assert {m["id"] for m in d.queue()} == sent
    p.start()
    p.wait_messages(5)


def test_two_domains_behind_one_primary_share_a_connection(mx20, primary):
    p = primary()
    d = mx20(domains=f"one.test recipients=* primary={p.route}\n"
                     f"two.test recipients=* primary={p.route}\n")
    send(d.address, rcpts=["u@one.test"])
    send(d.address, rcpts=["u@two.test"])
    p.start()
    p.wait_messages(2)
    assert len(p.sessions) == 1
