"""Fixtures: the daemon under test, scripted primaries, real Postfix.

Every fixture cleans up after itself and lets the test fail when the daemon
crashed, leaked, or logged a sanitizer report.
"""

import shutil

import pytest

from daemon import Mx20
from dns import Dns
from pki import Pki
from postfix import Postfix
from primary import Primary


@pytest.fixture
def mx20(request):
    """A factory: mx20(domains=..., conf={...}) makes and starts a daemon."""
    made = []

    def make(start=True, **options):
        daemon = Mx20(**options)
        made.append(daemon)
        if start:
            daemon.start()
        return daemon

    yield make
    for daemon in made:
        daemon.close()


@pytest.fixture
def primary():
    """A factory: primary(**options) makes a scripted SMTP server, not yet
    listening."""
    made = []

    def make(**options):
        server = Primary(**options)
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def postfix(request):
    """A factory for Postfix instances that take mail as a primary."""
    if shutil.which("postfix") is None:
        pytest.skip("Postfix is not installed")
    made = []

    def make(**options):
        server = Postfix(**options)
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def dns():
    """NSD, not yet started: give it zones first."""
    if shutil.which("nsd") is None:
        pytest.skip("NSD is not installed")
    server = Dns()
    yield server
    server.close()


@pytest.fixture(scope="session")
def pki():
    """A certification authority of our own."""
    authority = Pki()
    yield authority
    authority.close()
