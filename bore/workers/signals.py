"""The signals that are for the supervisor alone."""

from __future__ import annotations

import signal
from typing import Final

#: A terminal or a service manager may send them to all processes: workers ignore them.
IGNORED: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
