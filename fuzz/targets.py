"""
What is fuzzed: functions that take any bytes and raise an AssertionError when a promise is broken.

Anything else that one of them raises is a fault, too. The first byte of most inputs chooses a state, the second the
portions in which the rest arrives: the portions must not change what follows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fuzz import parsers, sessions, workers

#: All targets, by their names.
TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target
    for target in (
        parsers.frames,
        parsers.decoders,
        sessions.serverSession,
        sessions.controlSession,
        sessions.dataSession,
        sessions.lane,
        sessions.proofs,
        parsers.proxyHeader,
        parsers.proxyHeaderRead,
        parsers.httpRequests,
        parsers.clientHellos,
        parsers.plainHints,
        parsers.addresses,
        parsers.knownServers,
        parsers.invitations,
        parsers.localServices,
        parsers.settingsFiles,
        workers.workerMessages,
        workers.channelEnds,
    )
}
