"""``python -m laboratory.timers WORDS``: ``bore WORDS``, which prints on SIGUSR2 how many timers it has."""

from __future__ import annotations

import gc
import signal
import sys
import time
from typing import Any


def sayTimers(reactor: Any) -> None:
    """Print on SIGUSR2 how many timers there are: ``timers TIME COUNT``."""

    def count() -> None:
        gc.collect()
        print("timers", time.monotonic(), len(reactor.getDelayedCalls()), flush=True)  # noqa: T201

    signal.signal(signal.SIGUSR2, lambda *_: reactor.callFromThread(count))


def main() -> int:
    from bore.cli import main as bore

    def later(*_: object) -> None:
        from twisted.internet import reactor

        sayTimers(reactor)
        signal.raise_signal(signal.SIGUSR2)

    signal.signal(signal.SIGUSR2, later)
    return bore(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
