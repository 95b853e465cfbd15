"""What a tunnel without visitors costs on the network."""

from __future__ import annotations

import time

from bore.client.settings import ClientSettings
from bore.streams.socketoptions import LANE_KEEPALIVE_IDLE
from bore.wire.limits import IDLE_HEARTBEAT_INTERVAL
from tests.processes.tlscase import TlsCase

_DAY = 86400

#: The headers of a packet: IPv4, TCP, and TCP's time stamps.
_HEADERS = 20 + 20 + 12

#: A heartbeat, its answer, and the acknowledgement of the answer; a probe of a lane and its answer.
_PACKETS_OF_A_HEARTBEAT = 3
_PACKETS_OF_A_PROBE = 2

#: At most this many bytes a day, in both directions together.
_LIMIT = 9_000_000


class IdleTests(TlsCase):
    """A tunnel inside TLS whose visitors are far away."""

    def test_itCostsNineMegabytesADayAtMost(self) -> None:
        _, control = self.tlsServer()
        way = self.forwarder(control)
        _, port = self.tlsClient(way.port)

        def total() -> int:
            return sum(passage.moved for passage in way.passages)

        before, count = 0, 3
        while (now := total()) > before:  # what belongs to the beginning of a session
            before = now
            time.sleep(1)
        time.sleep(count * IDLE_HEARTBEAT_INTERVAL)
        moved = total() - before
        self.assertGreater(moved, 0, "heartbeats come")
        heartbeats = _DAY / IDLE_HEARTBEAT_INTERVAL
        probes = 2 * ClientSettings(servers=()).lanes * _DAY / LANE_KEEPALIVE_IDLE
        packets = heartbeats * _PACKETS_OF_A_HEARTBEAT + probes * _PACKETS_OF_A_PROBE
        self.assertLessEqual(moved / count * heartbeats + packets * _HEADERS, _LIMIT)

        self.assertServes(port)
        before = way.passages[0].moved
        time.sleep(4)
        self.assertGreater(way.passages[0].moved - before, moved, "with visitors they are frequent")
