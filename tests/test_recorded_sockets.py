"""The recorded conversations that need sockets or time, replayed by the whole server and the whole client."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from bore.client.service import ClientService
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.target import Target
from bore.client.tunnelspec import TunnelSpec
from bore.server.service import ServerService
from bore.server.settings import ServerSettings
from bore.streams.reactor import IReactor
from bore.wire.secret import Secret
from tests.ports import freePort, loopbackHost
from tests.support import PATIENCE, connect, receiveAll, receiveExactly
from tests.wire.test_recorded import ELSEWHERE, RECORDED, recordedText

UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def masked(data: bytes) -> bytes:
    """The same bytes with a question mark for each UUID."""
    return UUID.sub(b"?", data)


def expected(key: str) -> bytes:
    """A recording as bytes, with its end of stream, and with a question mark for each UUID."""
    return masked(recordedText(key).split("<EOF>")[0].encode())


class ServerCase(TestCase):
    """A whole server."""

    def setUp(self) -> None:
        self.host = loopbackHost()
        self.service = ServerService(
            cast(IReactor, reactor),
            ServerSettings(minPort=20000, bindAddr=self.host, bindTunnels=self.host, controlPort=0),
        )
        self.service.startService()
        self.port = self.service.controlPort
        self.said: set[str] = set()

    def tearDown(self) -> Deferred[None]:  # type: ignore[override]  # trial waits for it, whatever unittest says
        return self.service.stopService()

    def say(self, frame: bytes) -> socket.socket:
        sock = connect(self.host, self.port)
        self.addCleanup(sock.close)
        sock.sendall(frame)
        return sock

    def take(self, key: str) -> bytes:
        """A recording; marks it as replayed."""
        self.assertIn(key, ELSEWHERE)
        self.said.add(key)
        return expected(key)


class ServerTests(ServerCase):
    """The server on real sockets."""

    def _conversations(self) -> None:
        self._helloAndHeartbeats()
        self._refusals()
        self._silence()
        self._visitor()

    def _helloAndHeartbeats(self) -> None:
        heard = self.take("server: Hello(20005), first 1.2 s")
        control = self.say(b'{"Hello":20005}\0')
        begin = time.monotonic()
        self.assertEqual(receiveExactly(control, len(heard)), heard)
        # Two heartbeats behind the first: a second. (That none is late is tested with a clock that no machine slows.)
        self.assertGreater(time.monotonic() - begin, 0.9)
        taken = self.take("server: Hello of a port in use")
        self.assertEqual(receiveAll(self.say(b'{"Hello":20005}\0')), taken)
        control.close()

    def _refusals(self) -> None:
        for key, frame in {
            "server: Hello of a port out of range": b'{"Hello":19999}\0',
            "server: Accept of an unknown id": b'{"Accept":"00000000-0000-4000-8000-000000000001"}\0',
        }.items():
            self.assertEqual(receiveAll(self.say(frame)), self.take(key), key)

    def _silence(self) -> None:
        self.assertEqual(recordedText("server: silent connection"), "<EOF> after 3.0 s")
        begin = time.monotonic()
        self.assertEqual(receiveAll(self.say(b"")), self.take("server: silent connection"))
        self.assertGreater(time.monotonic() - begin, 2.9)

    def _visitor(self) -> None:
        recorded = self.take("server: a visitor came").replace(b'"Heartbeat"\0', b"")
        control = self.say(b'{"Hello":20005}\0')
        self.assertEqual(receiveExactly(control, 16), b'{"Hello":20005}\0')
        visitor = connect(self.host, 20005)
        self.addCleanup(visitor.close)
        heard = b""
        while b"Connection" not in heard or not heard.endswith(b"\0"):
            heard += control.recv(4096)
        self.assertEqual(masked(heard.replace(b'"Heartbeat"\0', b"")), recorded)
        found = UUID.search(heard)
        assert found is not None
        data = self.say(b'{"Accept":"%s"}\0' % found.group() + self.take("data: visitor got"))
        visitor.sendall(self.take("data: client end got"))
        self.assertEqual(receiveExactly(visitor, 32), expected("data: visitor got"))
        self.assertEqual(receiveExactly(data, 12), expected("data: client end got"))
        visitor.shutdown(socket.SHUT_WR)
        self.assertEqual(receiveAll(data), self.take("data: after the visitor half-closes, client end gets"))
        late = self.take("data: and what the client end then sends reaches the visitor as")
        data.sendall(late)
        data.close()
        self.assertEqual(receiveAll(visitor), late)

    async def test_theServerSaysWhatTheOriginalSaid(self) -> None:
        await deferToThread(self._conversations)
        self.assertEqual(self.said, set(ELSEWHERE))


class ScriptedServer:
    """Plays the server's part of a recorded conversation, and checks the client's."""

    def __init__(self, host: str, lines: list[str]) -> None:
        self._lines = lines
        self._listener = socket.create_server((host, 0))
        self._listener.settimeout(PATIENCE)
        self.port: int = self._listener.getsockname()[1]
        self._steps: list[tuple[str, Callable[[bytes], None]]] = [
            ("C opens a data connection > ", self._data),
            ("C> ", self._hear),
            ("S> ", self._say),
            ("S closes", self._close),
        ]

    def play(self) -> None:
        """Do it, in a thread of its own."""
        self._control, _ = self._listener.accept()
        self._control.settimeout(PATIENCE)
        try:
            for line in self._lines:
                step, rest = next((s, line[len(p) :]) for p, s in self._steps if line.startswith(p))
                step(rest.encode())
        finally:
            self._control.close()
            self._listener.close()

    def _hear(self, words: bytes) -> None:
        if words:
            # The one difference that an original server cannot see.
            words = re.sub(rb'(\{"Hello":\d+\})\0', rb"\1 \0", words)
            assert (heard := receiveExactly(self._control, len(words))) == words, (heard, words)
            return
        self._control.settimeout(0.3)  # nothing, that is
        try:
            heard = self._control.recv(100)
        except TimeoutError:
            heard = b""
        assert heard == b"", heard
        self._control.settimeout(PATIENCE)

    def _say(self, words: bytes) -> None:
        self._control.sendall(words)

    def _data(self, words: bytes) -> None:
        data, _ = self._listener.accept()
        data.settimeout(PATIENCE)
        heard = receiveAll(data)
        data.close()
        assert heard == words.removesuffix(b"<EOF>"), heard

    def _close(self, words: bytes) -> None:
        self._control.close()


#: What the original was started with, and how ours must end; None: as when the server is lost.
CLIENTS: dict[str, tuple[int, Secret | None, str | None]] = {
    "client: hello": (0, None, None),
    "client: port 20001": (20001, None, "port already in use"),
    "client: challenge without secret": (0, None, "server requires authentication, but no client secret was provided"),
    "client: with secret": (0, Secret("my secret"), None),
    "client: secret, server has none": (
        0,
        Secret("my secret"),
        "expected authentication challenge, but no secret was required",
    ),
    "client: with secret, refused": (0, Secret("my secret"), "invalid secret"),
    "client: white space in Hello reply": (0, None, None),
}


class ClientTests(TestCase):
    """The client on real sockets."""

    async def _converse(self, key: str) -> None:
        recorded = cast("dict[str, Any]", RECORDED[key])
        port, secret, error = CLIENTS[key]
        host = loopbackHost()
        server = ScriptedServer(host, recorded["wire"])
        client = ClientService(
            cast(IReactor, reactor),
            ClientSettings(
                (ServerAddress(host, server.port),),
                secret,
                reconnect=False,
            ),
            [TunnelSpec(Target(freePort(), "127.0.0.1"), port)],
        )
        reasons: list[BaseException] = []

        def gaveUp(reason: Failure) -> None:
            reasons.append(cast(BaseException, reason.value))

        ended = client.whenGaveUp().addErrback(gaveUp)
        opened: list[int] = []
        client.whenOpened().addCallbacks(opened.append, lambda reason: None)
        client.startService()
        try:
            await deferToThread(server.play)
            await ended
        finally:
            await client.stopService()
        [reason] = reasons
        if error is None:
            self.assertEqual(opened, [20001], key)
            self.assertIn("it closed the connection", str(reason), key)
        else:
            self.assertEqual((opened, str(reason)), ([], error), key)
            # The original prefixes a server's error with "server error: ", and so do our logs.
            self.assertIn(error, recorded["log"], key)

    async def test_theClientSaysWhatTheOriginalSaid(self) -> None:
        self.assertEqual(set(CLIENTS), {key for key in RECORDED if key.startswith("client: ")})
        for key in CLIENTS:
            await self._converse(key)


class ManyTests(ServerCase):
    """Nothing of the above depends on being alone."""

    async def test_theServerServesManyConversationsAtOnce(self) -> None:
        def converse(n: int, errors: list[BaseException]) -> None:
            try:
                sock = connect(self.host, self.port)
                sock.sendall(b'{"Hello":%d}\0' % (30000 + n))
                assert receiveExactly(sock, 16) == b'{"Hello":%d}\0' % (30000 + n)
                sock.close()
            except BaseException as e:
                errors.append(e)

        def all() -> list[BaseException]:
            errors: list[BaseException] = []
            threads = [threading.Thread(target=converse, args=(n, errors)) for n in range(50)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
            return errors

        self.assertEqual(await deferToThread(all), [])
