"""Some seconds of the second part of `make soak`: mail is relayed by two hundred
sessions while its primary flaps."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "soak"))

from flap import Flap  # noqa: E402

SECONDS = float(os.environ.get("MX20_FLAP_SECONDS", "8"))


def test_the_books_agree_after_a_primary_that_flaps(capsys):
    flap = Flap(SECONDS, os.environ.get("MX20_SEED", "1"))
    try:
        flap.run()
        figures, faults = flap.audit()
    finally:
        flap.close()
    with capsys.disabled():
        print("\nflap:", figures)
    assert figures["relayed"] > 50 and figures["promised"] > 100
    assert figures["left"] and figures["ends"]["554"]
    assert not faults, faults
