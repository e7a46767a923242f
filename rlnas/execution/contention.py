"""Detect other load on the same machine and warn with advice; no number depends on it."""

import logging

from rlnas.execution.processor import Waiting

BUSY = 0.25  # share of the time waiting for a core; on an idle machine, with a thread per core, it is a few percent

log = logging.getLogger("rlnas")


class Contention:
    """Warn once when this process has to wait for its cores.

    threads: maximum for one operator.
    """

    def __init__(self, threads: int):
        self.threads = threads
        self.waiting = Waiting()
        self.warned = False

    def notice(self) -> None:
        """Measure, and warn the first time. To be called regularly."""
        share = self.waiting.share()
        if self.warned or share is None or share < BUSY:
            return
        self.warned = True
        advice = (
            f"; it computes with up to {self.threads} threads, which then wait for each other: a new run with "
            "execution.threads=1 may be several times faster (its numbers may differ in the last places)"
            if self.threads > 1
            else ""
        )
        log.warning(
            "this process waits for a core %.0f %% of its time, because other work keeps the machine busy: the run "
            "takes longer, its numbers stay the same%s",
            100 * share,
            advice,
        )
