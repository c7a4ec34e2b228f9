"""The gates that settings switch on: who is kept out, and how that is said."""

import ssl

from client import Raw, message


def test_require_tls(mx20, pki):
    cert = pki.cert("mx2.test")
    daemon = mx20(conf={"tls": {"certificate": str(cert.cert_path),
                                "key": str(cert.key_path)},
                        "policy": {"require_tls": True}})
    with Raw(daemon.address) as c:
        assert c.cmd("EHLO client.test").startswith("250")
        assert c.cmd("MAIL FROM:<a@sender.test>") == \
            "530 5.7.0 Must issue a STARTTLS command first"
        assert c.cmd("NOOP").startswith("250")
        assert c.cmd("STARTTLS").startswith("220")
        context = ssl._create_unverified_context()
        c.sock = context.wrap_socket(c.sock)
        c.envelope()
        assert c.data(message() + ".\r\n").startswith("250")
    daemon.wait_log(r"^rejected .* stage=mail .*reason=no_tls "
                    r"setting=policy\.require_tls$")
    daemon.conf["tls"] = {}
    done = daemon.reload()
    assert done.returncode == 1
    assert "policy.require_tls: needs tls.certificate" in \
        done.stdout + done.stderr
