"""Two minutes of `make soak`."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "soak"))

from soak import Soak  # noqa: E402

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
