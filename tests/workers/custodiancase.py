"""Shared by the tests of custodians: workers that are lists of what was sent to them."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence

from bore.wire.workermessages import (
    Claim,
    Granted,
    SupervisorMessage,
    Waiting,
    decodeSupervisorMessage,
    encode,
)
from bore.workers.custodian import Custodian
from tests.server.custodycase import CustodyCase

PEER = ("192.0.2.7", 4711)


class CustodianCase(CustodyCase):
    """Workers that are lists of what was sent to them."""

    def setUp(self) -> None:
        super().setUp()
        self.sent: dict[Custodian, list[tuple[SupervisorMessage, list[int]]]] = {}
        self.names: list[str] = []
        self.one, self.two = self.worker(), self.worker()

    def worker(self) -> Custodian:
        sent: list[tuple[SupervisorMessage, list[int]]] = []

        def send(message: SupervisorMessage, descriptors: Sequence[int]) -> None:
            for each in descriptors:
                self.addCleanup(self.close, each)
            sent.append((decodeSupervisorMessage(encode(message)), list(descriptors)))

        custodian = Custodian(self.custody, send, self.names.append)
        self.sent[custodian] = sent
        self.addCleanup(custodian.gone)
        return custodian

    def close(self, descriptor: int) -> None:
        with contextlib.suppress(OSError):
            os.close(descriptor)

    def take(self, worker: Custodian) -> list[SupervisorMessage]:
        """What was sent to a worker since the last call."""
        messages = [message for message, _ in self.sent[worker]]
        self.sent[worker].clear()
        return messages

    def claim(self, worker: Custodian, token: str | None = None, lasting: bool = True) -> Granted:
        """A claim that is granted at once."""
        worker.received(Claim(1, self.port, token, "", "192.0.2.1", lasting, None))
        [granted] = self.take(worker)
        assert isinstance(granted, Granted), granted
        return granted

    def visitor(self, id: int, early: bytes = b"") -> tuple[socket.socket, Waiting, int]:
        mine, theirs = socket.socketpair()
        self.addCleanup(mine.close)
        mine.settimeout(0)
        return mine, Waiting(id, PEER, early, 1.5), theirs.detach()
