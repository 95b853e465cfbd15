"""The clock of the reactor."""

from __future__ import annotations

import time
from typing import Any, cast


def useMonotonicClock(reactor: object) -> None:
    """
    Have a reactor measure time by the clock that nobody sets; its own is the time of day.

    The time of day is set back (a hardware clock in local time, a virtual machine that is resumed, NTP after the boot),
    and every timer would wait as long as the step, or it is set forward, and all would be due at once.

    :param reactor: what is scheduled already keeps its distance from now.
    """
    base = cast(Any, reactor)
    step = time.monotonic() - base.seconds()
    for call in base.getDelayedCalls():
        call.time += step  # all by the same: their order stays
        call.seconds = time.monotonic
    base.seconds = time.monotonic
