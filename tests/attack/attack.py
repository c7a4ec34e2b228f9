#!/usr/bin/python3
"""make attack: each attack in turn, honest sessions measured beside it.

Under the row of an attack stand the bounds of its own.  The exit status says
whether all were kept.  ONLY="word word" runs the attacks whose names have one of the words;
SECONDS_EACH=n.
"""

import os
import sys

import frame
import inward  # noqa: F401
import nobody  # noqa: F401
import onward  # noqa: F401
import outward  # noqa: F401

ONLY = os.environ.get("ONLY", "").split()


def main():
    frame.print_head()
    failed, pki = 0, frame.Pki()
    for a in frame.ATTACKS:
        if ONLY and not any(word in a.name for word in ONLY):
            continue
        row = frame.run(a, pki)
        failed += bool(row["wrong"])
        frame.print_row(a, row)
    pki.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
