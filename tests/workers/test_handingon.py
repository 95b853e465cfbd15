"""Plain connections that came to the wrong worker, and are handed on."""

from __future__ import annotations

import os
import socket

from twisted.internet.threads import deferToThread

from bore.events.server import ConnectionClosed
from bore.wire import extension, messages
from bore.wire import workermessages as wm
from bore.wire.messages import Challenge, Connection, Hello
from bore.wire.proof import proveBase
from bore.wire.secret import Secret
from tests.support import receiveExactly
from tests.workers.originals import Original
from tests.workers.supervised import Supervised, SupervisedCase

SECRET = Secret("correct horse battery staple")


class HandingOn(SupervisedCase):
    """Plain connections that came to the wrong worker."""

    OTHER = "00070000-0000-4000-8000-000000000001"  # a visitor of worker 7

    async def handedOn(self, request: bytes, secret: Secret | None) -> tuple[wm.HandOn, Supervised]:
        supervised = self.supervised(secret=secret)
        await self.until(supervised, wm.Ready)
        return await self._handedOn(supervised, request, secret), supervised

    async def _handedOn(self, supervised: Supervised, request: bytes, secret: Secret | None) -> wm.HandOn:
        def come() -> None:
            client = Original(self.host, supervised.listener.port)
            self.addCleanup(client.sock.close)
            if secret is not None:
                challenge = client.frame()
                assert isinstance(challenge, Challenge)
                self.challenge = challenge.id
                self.proof = messages.encode(messages.Authenticate(proveBase(secret, challenge.id)))
                client.sock.sendall(self.proof)
            client.sock.sendall(request)
            self.client_ = client

        await deferToThread(come)
        handedOn: wm.HandOn = await self.until(supervised, wm.HandOn)
        return handedOn

    def accept(self, rest: bytes = b"rest") -> bytes:
        return b'{"Accept":"%s"}\0' % self.OTHER.encode() + rest

    async def test_aDataConnection(self) -> None:
        handedOn, supervised = await self.handedOn(self.accept(), None)
        self.assertEqual((handedOn.worker, handedOn.early, handedOn.challenge), (7, self.accept(), None))
        self.assertEqual(handedOn.peer, self.client_.sock.getsockname())
        await self.turn()
        pending = supervised.of(wm.Pending)[-1]
        self.assertEqual(sum(count for _, count in pending.counts), 0)
        (descriptor,) = supervised.descriptors[supervised.received.index(handedOn)]
        with socket.socket(fileno=os.dup(descriptor)) as sock:
            self.assertEqual(sock.getpeername(), handedOn.peer)
            sock.sendall(b"alive")
        self.assertEqual(await deferToThread(receiveExactly, self.client_.sock, 5), b"alive")

    async def test_aDataConnectionBehindASecret(self) -> None:
        handedOn, _ = await self.handedOn(self.accept(), SECRET)
        self.assertEqual((handedOn.worker, handedOn.challenge), (7, self.challenge))
        self.assertEqual(handedOn.early, self.proof + self.accept())

    async def test_aLane(self) -> None:
        lane = extension.encode(extension.Lane("7." + "0" * 32)) + b"rest"
        handedOn, _ = await self.handedOn(lane, SECRET)
        self.assertEqual((handedOn.worker, handedOn.challenge), (7, self.challenge))
        self.assertEqual(handedOn.early, self.proof + lane)

    async def test_theAddressThatAProxyHasAnnouncedGoesWithIt(self) -> None:
        supervised = self.supervised()
        await self.until(supervised, wm.Ready)
        with socket.create_server((self.host, 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            sock, _ = listener.accept()
        self.addCleanup(client.close)
        client.sendall(self.accept())
        supervised.talk.send(wm.Connection(False, ("203.0.113.9", 50123), b"", None), [sock.detach()])
        handedOn = await self.until(supervised, wm.HandOn)
        self.assertEqual((handedOn.peer, handedOn.early), (("203.0.113.9", 50123), self.accept()))

    async def test_whatWasHandedOnIsServedWhereItBelongs(self) -> None:
        for secret in None, SECRET:
            supervised = self.supervised(secret=secret)
            await self.until(supervised, wm.Ready)
            handedOn = await self._handedOn(supervised, self.accept(b""), secret)
            (descriptor,) = supervised.descriptors[supervised.received.index(handedOn)]
            client = await deferToThread(self._original, supervised, secret)
            early = handedOn.early.replace(self.OTHER.encode(), str(client[0]).encode())
            message = wm.Connection(False, handedOn.peer, early + b"hello", handedOn.challenge)
            supervised.talk.send(message, [os.dup(descriptor)])
            visitor = client[1]
            self.assertEqual(await deferToThread(receiveExactly, visitor, 5), b"hello")
            visitor.close()

    def _original(self, supervised: Supervised, secret: Secret | None) -> tuple[object, socket.socket]:
        control = Original(self.host, supervised.listener.port)
        self.addCleanup(control.sock.close)
        control.request(Hello(0), secret)
        hello = control.frame()
        assert isinstance(hello, Hello)
        visitor = socket.create_connection((self.host, hello.port), 10)
        while not isinstance(announced := control.frame(), Connection):
            pass
        return announced.id, visitor

    async def test_itIsHandedOnOnce(self) -> None:
        """Its worker may be gone: then it comes to another one, which answers as one server does."""
        for secret in None, SECRET:
            self.events.clear()
            supervised = self.supervised(secret=secret)
            await self.until(supervised, wm.Ready)
            handedOn = await self._handedOn(supervised, self.accept(), secret)
            (descriptor,) = supervised.descriptors[supervised.received.index(handedOn)]
            message = wm.Connection(False, handedOn.peer, handedOn.early, handedOn.challenge)
            supervised.talk.send(message, [os.dup(descriptor)])
            await self.eventually(lambda: self.seen(ConnectionClosed))
            self.assertEqual(len(supervised.of(wm.HandOn)), 1)

    async def test_aWrongProofIsRefusedWhereItBelongs(self) -> None:
        supervised = self.supervised(secret=SECRET)
        await self.until(supervised, wm.Ready)
        handedOn = await self._handedOn(supervised, self.accept(), SECRET)
        (descriptor,) = supervised.descriptors[supervised.received.index(handedOn)]
        early = messages.encode(messages.Authenticate("00" * 32)) + self.accept()
        supervised.talk.send(wm.Connection(False, handedOn.peer, early, handedOn.challenge), [os.dup(descriptor)])
        os.close(descriptor)
        supervised.descriptors.clear()
        answer = await deferToThread(self.client_.frame)
        self.assertEqual(answer, messages.Error("invalid secret"))

    async def test_aProofOfAnotherChallengeIsNotOneOfThis(self) -> None:
        supervised = self.supervised(secret=SECRET)
        await self.until(supervised, wm.Ready)
        handedOn = await self._handedOn(supervised, self.accept(), SECRET)
        (descriptor,) = supervised.descriptors[supervised.received.index(handedOn)]
        other = messages.decodeServerMessage(b'{"Challenge":"00000000-0000-4000-8000-000000000001"}')
        assert isinstance(other, Challenge)
        supervised.talk.send(wm.Connection(False, handedOn.peer, handedOn.early, other.id), [os.dup(descriptor)])
        self.assertEqual(await deferToThread(self.client_.frame), messages.Error("invalid secret"))
