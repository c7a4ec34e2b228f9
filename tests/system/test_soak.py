"""Two minutes of `make soak`, and what its last part makes of a duplicate."""

import os
import pathlib
import sys
import types

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "soak"))

from soak import Soak  # noqa: E402
from witness import Arrival, Blow, Inquest, Lines  # noqa: E402

SECONDS = float(os.environ.get("MX20_SOAK_SECONDS", "120"))


def test_the_books_agree_after_mixed_traffic_outages_and_kills(capsys):
    soak = Soak(SECONDS, os.environ.get("MX20_SEED", "1"))
    try:
        soak.run()
        figures, faults = soak.audit()
    finally:
        soak.close()
    with capsys.disabled():
        print("\nsoak:", figures)
    assert figures["kills"] > 0 and figures["messages"] > 100
    assert not faults, faults


KNOWN = 'delivered mid=1 reply="250 2.0.0 taken {}"'


@pytest.mark.parametrize("line, at, blow, avoidable", [
    (None, 0, Blow("kill", "a", at=100.1), 0),
    (None, 0, None, 1),                        # nothing befell it
    (None, 0, Blow("kill", "b", at=100.1), 1),
    (KNOWN, 100.05, Blow("kill", "a", at=100.1), 1),
    (KNOWN, 120, Blow("stop", "a", at=100.1), 0),    # when it went on
    (KNOWN, 109, Blow("stop", "a", late_s=3, at=100.1), 0),
    (KNOWN, 102, Blow("stop", "a", late_s=3, at=100.1), 1),
    (KNOWN, 100.05, Blow("silence", "a", 2, at=99), 0),
    (KNOWN, 100.05, Blow("silence", "a", 2, at=97), 1),
])
def test_what_was_known_need_not_arrive_again(line, at, blow, avoidable):
    first = Arrival("a", 100, 7, None)
    log = Lines()
    if line:
        log.append(line.format(7))
        log.times[0] = at
    primary = types.SimpleNamespace(
        cut={}, arrivals={("m", "u"): [Arrival("b", 110, 8, None), first]})
    lines, found, faults = Inquest(primary, {"a": log},
                                   [blow] if blow else []).judge()
    assert len(lines) == 1 and ("AVOIDABLE" in lines[0]) == bool(avoidable)
    assert found == avoidable and len(faults) == avoidable


def test_no_more_is_in_hand_than_may_be():
    primary = types.SimpleNamespace(cut={}, arrivals={
        (str(n), "u"): [Arrival("a", 100, n, None),
                        Arrival("b", 110, n + 1000, None)]
        for n in range(65)})
    _, avoidable, faults = Inquest(primary, {"a": Lines()},
                                   [Blow("kill", "a", at=100)]).judge()
    assert avoidable == 0 and faults == ["65 were in hand at a blow: kill of a"]
