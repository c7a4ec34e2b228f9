"""What a real primary that delivers into maildirs has taken."""

import time

from client import PATIENCE


class Maildirs:
    """For servers with messages() and log()."""

    def wait_messages(self, count=1, timeout=PATIENCE):
        # A maildir has no event to wait for from here: look often.
        end = time.monotonic() + timeout
        while len(self.messages()) < count:
            assert time.monotonic() < end, \
                f"{len(self.messages())} of {count} arrived\n" + self.log()
            time.sleep(0.05)
        return self.messages()
