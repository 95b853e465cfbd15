"""The extension is spoken among our own peers only: what the original receives, byte for byte."""

from __future__ import annotations

import signal

from bore.wire import messages
from bore.wire.extension import decodeRequest
from bore.wire.framing import FrameDecoder
from bore.wire.messages import Accept, Challenge, Connection, Heartbeat, Hello
from tests.forwarder import Forwarder
from tests.interop.case import PairingCase, publicPort
from tests.original import CONTROL_PORT
from tests.ports import freePort, loopbackHost
from tests.support import LocalService, Program, connect, echo, eventually, isOpen, receiveExactly


def frames(data: bytes) -> list[bytes]:
    """The frames in the bytes that one side has sent, without their NULs."""
    decoder = FrameDecoder()
    decoder.feed(data)
    found = []
    while (frame := decoder.nextFrame()) is not None:
        found.append(frame)
    return found


class OverheardCase(PairingCase):
    """A recording forwarder between the two ends."""

    def setUp(self) -> None:
        self.service = LocalService(echo)
        self.addCleanup(self.service.close)

    def overhear(self, server: str, client: str, *words: str) -> tuple[Forwarder, Program, int]:
        """A way between two ends that have a tunnel, the client, and the public port."""
        far = self.server(server, *words)
        eventually(lambda: isOpen(far, CONTROL_PORT), "the control port is open")
        near = loopbackHost()
        way = Forwarder(near, CONTROL_PORT, (far, CONTROL_PORT))
        self.addCleanup(way.close)
        program = self.start(client, "local", str(self.service.port), "-l", "127.0.0.1", "--to", near, *words)
        port = publicPort(program, near)
        for question in (b"one", b"two"):
            with connect(far, port) as visitor:
                visitor.sendall(question)
                self.assertEqual(receiveExactly(visitor, 3), question)
        return way, program, port

    def listen(self, way: Forwarder) -> None:
        """Let the two go on for a while."""
        heard = way.session.fromServer
        enough = heard.count(b"Heartbeat") + 2
        eventually(lambda: heard.count(b"Heartbeat") >= enough, "further heartbeats")


class OriginalClientTests(OverheardCase):
    """Our server, and an original client."""

    def test_itHearsNoByteOfTheExtension(self) -> None:
        for secret in ((), ("--secret", "hush, and long enough")):
            way, client, port = self.overhear("ours", "original", *secret)
            self.listen(way)
            heard = [messages.decodeServerMessage(frame) for frame in frames(bytes(way.session.fromServer))]
            if secret:
                self.assertIsInstance(heard.pop(0), Challenge)
            self.assertEqual(heard[0], Hello(port))
            self.assertEqual({type(message) for message in heard[1:]}, {Heartbeat, Connection})
            self.assertEqual(sum(isinstance(message, Connection) for message in heard), 2)
            client.kill()

    def test_aRefusalIsWordedAsTheOriginalWordsIt(self) -> None:
        host = loopbackHost()
        self.start("ours", "server", "--bind-addr", host, "--max-tunnels", "1")
        first = self.client("original", host, 80)
        publicPort(first, host)
        second = self.client("original", host, 80)
        self.assertEqual(second.wait(), 1)
        self.assertIn("server error: too many tunnels", second.transcript())

    def test_aPortIsNotKeptForIt(self) -> None:
        host = loopbackHost()
        server = self.start("ours", "server", "--bind-addr", host)
        chosen = str(freePort(host))
        for times in range(2):
            client = self.client("original", host, self.service.port, "--port", chosen)
            self.assertEqual(publicPort(client, host), int(chosen))
            client.kill()
            server.waitFor("is gone", after=times)
        self.assertNotIn("kept for", server.transcript())


class OriginalServerTests(OverheardCase):
    """An original server, and our client."""

    def test_theMarkIsAllThatItHears(self) -> None:
        for secret in ((), ("--secret", "hush, and long enough")):
            way, client, _ = self.overhear("original", "ours", *secret)
            self.listen(way)
            client.process.send_signal(signal.SIGTERM)
            self.assertEqual(client.wait(), 0, client.transcript())
            self.assertEqual(client.err, [])
            said = frames(bytes(way.session.fromClient))
            self.assertEqual(said.pop(), b'{"Hello":0} ')
            self.assertEqual(len(said), 1 if secret else 0, "the proof")
            visits = [passage for passage in way.passages if b'{"Accept":' in passage.fromClient]
            for visit, question in zip(visits, (b"one", b"two"), strict=True):
                *_, accept, rest = bytes(visit.fromClient).split(b"\0")
                self.assertIsInstance(decodeRequest(accept), Accept)
                self.assertEqual(rest, question)

    def test_theSamePortIsAskedForAgainWithoutAToken(self) -> None:
        way, client, port = self.overhear("original", "ours")
        way.session.cut()
        client.waitFor("lost ")
        eventually(lambda: b'{"Hello":%d} \0' % port in bytes(way.session.fromClient), "the client is back")
