"""The clock of the reactor."""

from __future__ import annotations

import time
from typing import Any, Final, cast

_BOOTTIME: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)


def sinceBoot() -> float:
    """
    Seconds on a clock that is never set, and goes on while the machine is suspended, where the system has one (Linux:
    CLOCK_BOOTTIME). Elsewhere the monotonic clock, which stands still meanwhile on some systems.
    """
    return time.clock_gettime(_BOOTTIME) if _BOOTTIME is not None else time.monotonic()


def useMonotonicClock(reactor: object) -> None:
    """
    Have a reactor use the monotonic clock instead of the time of day.

    The time of day may be set back (a hardware clock in local time, a virtual machine that is resumed, NTP after the
    boot): every timer would wait as long as the step. If it is set forward, all timers would be due at once.

    :param reactor: its pending calls keep their delays.
    """
    base = cast(Any, reactor)
    step = time.monotonic() - base.seconds()
    for call in base.getDelayedCalls():
        call.time += step  # all by the same step: their order stays
        call.seconds = time.monotonic
    base.seconds = time.monotonic
