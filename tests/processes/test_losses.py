"""What is lost while a tunnel is up: a server, descriptors, the local service."""

from __future__ import annotations

import signal
import socket

from tests.ports import freePort
from tests.processes.case import ProcessCase, count
from tests.promptness import within
from tests.support import bore, connect, eventually, isOpen, isTurnedAway, receiveExactly, running


class LossTests(ProcessCase):
    """What happens when one side is lost."""

    def test_bothTunnelsAreBackOnTheirPortsAfterTheServerWasKilled(self) -> None:
        server, control = self.server()
        chosen = freePort(self.host)
        (first, random), (second, _) = self.client(control), self.client(control, "-p", str(chosen))
        server.kill()
        for client in (first, second):
            client.waitFor("lost ")
        self.server(port=control)
        with within(5):
            eventually(lambda: isOpen(self.host, random) and isOpen(self.host, chosen), "both ports are back")
        self.assertServes(random)
        self.assertServes(chosen)

    def test_theServerTellsItsClientsThatItStops(self) -> None:
        server, control = self.server()
        client, _ = self.client(control)
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        client.waitFor("server is shutting down")

    def test_runningVisitorsMayFinishWhenTheServerStops(self) -> None:
        server, control = self.server()
        client, port = self.client(control)
        with connect(self.host, port) as visitor:
            visitor.sendall(b"one")
            self.assertEqual(receiveExactly(visitor, 3), b"one")
            server.process.send_signal(signal.SIGTERM)
            client.waitFor("server is shutting down")
            visitor.sendall(b"two")
            self.assertEqual(receiveExactly(visitor, 3), b"two")
            self.assertFalse(isOpen(self.host, port))
            self.assertIsNone(server.process.poll())
        with within(4):
            self.assertEqual(server.wait(), 0)

    def test_aVisitorThatDoesNotFinishDoesNotKeepTheServer(self) -> None:
        server, control = self.server()
        _, port = self.client(control)
        with connect(self.host, port) as visitor:
            visitor.sendall(b"one")
            receiveExactly(visitor, 3)
            server.process.send_signal(signal.SIGTERM)
            with within(9):
                self.assertEqual(server.wait(), 0)
            with self.assertRaises(ConnectionResetError):
                visitor.recv(1)

    def test_aSecondSignalEndsTheServerAtOnce(self) -> None:
        server, control = self.server()
        client, port = self.client(control)
        with connect(self.host, port) as visitor:
            visitor.sendall(b"one")
            receiveExactly(visitor, 3)
            server.process.send_signal(signal.SIGINT)
            client.waitFor("server is shutting down")
            server.process.send_signal(signal.SIGINT)
            self.assertEqual(server.wait(), -signal.SIGINT)


class ListenerGroupTests(ProcessCase):
    """No descriptors left."""

    def test_theServerLivesOnWithoutDescriptorsAndServesAgainWithThem(self) -> None:
        import resource

        server, control = self.server()
        _, port = self.client(control)
        limit = server.descriptors() + 20
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, limit))
        held = [connect(self.host, port) for _ in range(60)]
        server.waitFor("cannot accept on")
        for visitor in held:
            visitor.close()
        eventually(lambda: self._serves(port), "new visitors are served")
        complaints = [line for line in server.err if "cannot accept on" in line]
        self.assertEqual(len(complaints), 1)

    def _serves(self, port: int) -> bool:
        try:
            with connect(self.host, port, 1.0) as visitor:
                visitor.sendall(b"hello")
                return receiveExactly(visitor, 5) == b"hello"
        except OSError:
            return False


class LocalServiceTests(ProcessCase):
    """What the local service does."""

    def test_aLocalServiceThatIsDownClosesTheVisitorAtOnce(self) -> None:
        _, control = self.server()
        client, port = self.client(control)
        self.service.close()
        self.assertTrue(isTurnedAway(self.host, port))
        self.assertIn("connection refused", client.waitFor("cannot be reached"))
        self.assertIsNone(client.process.poll())

    def test_howManyVisitorsThatCostIsSaidWhenItAnswersAgain(self) -> None:
        _, control = self.server()
        for lanes in ("4", "0"):
            local = freePort(self.host)
            words = [str(local), "-l", self.host, "-t", f"{self.host}:{control}", "--lanes", lanes]
            client = self.start(bore("local", *words))
            port = client.port("listening at ")
            for _ in range(3):
                self.assertTrue(isTurnedAway(self.host, port))
            with socket.create_server((self.host, local)):
                visitor = self.visitor(port)
                self.assertRegex(
                    client.waitFor(f"{self.host}:{local} answers again"), r"after \d+ s; visitors turned away: 3$"
                )
                visitor.close()
            line = f"the local service {self.host}:{local} cannot be reached: connection refused; nothing listens there"
            self.assertEqual(count(client, line), 1, client.transcript())
            client.kill()

    def test_aServerOnTheIPv6WildcardServesBothFamilies(self) -> None:
        server = self.start(bore("server", "--bind-addr", "::", "--control-port", "0"))
        control = server.port("listening on ")
        for to in ("127.0.0.1", "[::1]"):
            with running(bore("local", str(self.service.port), "-t", f"{to}:{control}")) as client:
                port = client.port("listening at ")
                self.assertIn(f"listening at {to}:", client.out[0])
                for host in ("127.0.0.1", "::1"):
                    with connect(host, port) as visitor:
                        visitor.sendall(b"hi")
                        self.assertEqual(receiveExactly(visitor, 2), b"hi")
