"""Fixtures: the daemon under test, scripted primaries, real Postfix.

Every fixture cleans up after itself and lets the test fail when the daemon
crashed, leaked, or logged a sanitizer report.
"""

import shutil

import pytest

import postgres as postgresql
from daemon import Mx20
from dns import Dns
from exim import Exim
from pki import Pki
from postfix import Postfix
from primary import Primary


def factory(make, close):
    """A fixture's body: a function that makes things, all closed at the end."""
    made = []

    def make_one(**options):
        made.append(make(**options))
        return made[-1]

    yield make_one
    for thing in made:
        close(thing)


@pytest.fixture
def mx20():
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
    yield from factory(Primary, Primary.stop)


@pytest.fixture
def postfix():
    """A factory for Postfix instances that take mail as a primary."""
    if shutil.which("postfix") is None:
        pytest.skip("Postfix is not installed")
    yield from factory(Postfix, Postfix.stop)


@pytest.fixture
def exim():
    """The same for Exim."""
    yield from factory(Exim, Exim.stop)


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


@pytest.fixture
def postgres():
    """A factory of PostgreSQL servers that run."""
    if postgresql.BIN is None:
        pytest.skip("PostgreSQL is not installed")
    made = []

    def make(**options):
        made.append(postgresql.Postgres(**options).start())
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def pg(postgres):
    """One of them."""
    return postgres()


@pytest.fixture
def wire():
    """A factory of relays before a server's port."""
    yield from factory(lambda to: postgresql.Wire(to), postgresql.Wire.close)


@pytest.fixture(scope="session", autouse=True)
def _template_of_databases():
    yield
    postgresql.Postgres.forget_template()
