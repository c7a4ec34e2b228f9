"""Why did a message arrive twice?  What the primary took of which node, what
that node knew of it, and what befell it meanwhile.

Each reply of the primary to a message has a number, which the node's log
repeats once the outcome is durable.  So of every arrival it is known whether
its node had recorded it, and when:

    arrived ------ recorded at A: "delivered ... reply="250 2.0.0 taken 17"
       |               |
       +-- in hand ----+--- known: must never arrive again

An arrival may be followed by another one only if it was in hand when its node
was struck: then what A had heard, or was about to hear, was lost with it.
So is what it recorded without the database: while it brought that up to date,
or, of a node whose wire went silent, for as long as it takes to notice; and what
a node that was stopped heard when its lease was over, and others had its mail.
"""

import collections
import itertools
import math
import random
import re
import time

from daemon import Mx20
from primary import Delay
from soak import MAIL_ID, Keeper

TAKEN = re.compile(r'^delivered .*reply="250 2\.0\.0 taken (\d+)"')
STATE = re.compile(r"^mirror state=(\S+) ")
# of a node that fails while it delivers: daemon/drain/risk.h
IN_HAND = 64
# how long an arrival may be without its record, on a busy machine
UNRECORDED_S = 10
SLOW_S = 0.02  # how long the primary thinks about a message


class Lines(list):
    """A log: when each line came."""

    def __init__(self):
        super().__init__()
        self.times = []

    def append(self, line):
        self.times.append(time.monotonic())
        super().append(line)


class Observed(Mx20):
    """A daemon whose log says when."""

    def __init__(self, **options):
        super().__init__(**options)
        self.log = Lines()


class Witness(Keeper):
    """A primary that knows of each message who brought it."""

    def __init__(self, book, **options):
        super().__init__(book, on={"dot": self.number}, **options)
        self.arrivals = collections.defaultdict(list)
        self.cut = {}  # session: when
        self.numbers = itertools.count(1)

    def number(self, session, _argument):
        session.finishing.number = next(self.numbers)
        # not all at once: some are in hand at any time
        return Delay(random.expovariate(1 / SLOW_S),
                     f"250 2.0.0 taken {session.finishing.number}")

    def stop(self):
        for session in list(self.sessions):
            self.cut[session] = time.monotonic()
        super().stop()

    def took(self, message):
        mail_id = MAIL_ID.search(message.content).group(1).decode()
        node = next(line.split()[1].split(".")[0]
                    for line in message.session.transcript
                    if line.startswith(("EHLO", "HELO")))
        for rcpt in message.rcpts:
            self.arrivals[mail_id, rcpt].append(Arrival(
                node, message.at, message.number, message.session))
        super().took(message)


class Arrival:
    def __init__(self, node, at, number, session):
        self.node, self.at = node, at
        self.number, self.session = number, session


class Blow:
    """What befell a node; how long it may take to notice, and how much later
    what it hears is too late."""

    def __init__(self, what, node, notices_s=-UNRECORDED_S, late_s=math.inf,
                 at=None):
        self.what, self.node = what, node
        self.at = time.monotonic() if at is None else at
        self.notices_s, self.late_s = notices_s, late_s
        self.explained = 0


class Inquest:
    """Every arrival that was followed by another, judged."""

    def __init__(self, primary, nodes, blows):
        self.primary, self.blows = primary, blows
        self.recorded, self.states = {}, {}
        for name, log in nodes.items():
            for at, line in zip(log.times, list(log)):
                self.read(name, at, line)

    def read(self, name, at, line):
        if found := TAKEN.match(line):
            self.recorded.setdefault((name, int(found.group(1))), at)
        elif found := STATE.match(line):
            self.states.setdefault(name, []).append((at, found.group(1)))

    def state(self, name, at):
        said = [s for t, s in self.states.get(name, []) if t <= at]
        return said[-1] if said else "start"

    def cause(self, first, again):
        """The blow that makes the second arrival unavoidable."""
        known = self.recorded.get((first.node, first.number))
        in_hand = known is None or known > again.at or \
            self.state(first.node, known) == "behind"
        for blow in self.blows:
            if blow.node == first.node and \
                    abs(first.at - blow.at) < UNRECORDED_S and \
                    (in_hand or first.at < blow.at + blow.notices_s or
                     known > blow.at + blow.late_s):
                return blow
        return None

    def was_cut(self, first):
        cut = self.primary.cut.get(first.session)
        return cut is not None and (first.node, first.number) not in \
            self.recorded

    def tell(self, key, first, again, cause):
        known = self.recorded.get((first.node, first.number))
        near = min(self.blows, default=None,
                   key=lambda b: abs(b.at - first.at) +
                   (0 if b.node == first.node else 1000))
        return (f"{key[0]} {key[1]}: {first.node} at {first.at:.2f}"
                f" ({self.state(first.node, first.at)}), " +
                (f"recorded {known - first.at:+.2f}"
                 f" ({self.state(first.node, known)})"
                 if known else "not recorded") +
                f"; {again.node} {again.at - first.at:+.2f}" +
                (f"; {near.what} of {near.node} {near.at - first.at:+.2f}"
                 if near else "") +
                f"; {'unavoidable' if cause else 'AVOIDABLE'}")

    def judge(self):
        """(lines that tell of each, how many were avoidable, faults)"""
        lines, avoidable, faults = [], 0, []
        for key, all_of_it in sorted(self.primary.arrivals.items()):
            all_of_it.sort(key=lambda a: a.at)
            for first, again in zip(all_of_it, all_of_it[1:]):
                cause = self.cause(first, again) or self.was_cut(first)
                if isinstance(cause, Blow):
                    cause.explained += 1
                avoidable += not cause
                lines.append(self.tell(key, first, again, cause))
        for blow in self.blows:
            if blow.explained > IN_HAND:
                faults.append(f"{blow.explained} were in hand at a blow: "
                              f"{blow.what} of {blow.node}")
        if avoidable:
            faults.append(f"{avoidable} arrived twice, and need not have")
        return lines, avoidable, faults
