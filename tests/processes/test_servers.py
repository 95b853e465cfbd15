"""A client that knows several servers."""

from __future__ import annotations

import signal
from typing import Final

from tests.forwarder import Forwarder
from tests.ports import freePort, loopbackHost
from tests.processes.case import ProcessCase, count
from tests.support import Program, bore, connect, temporaryFolder

#: What a client says of a server that does not run, as long as there was no tunnel.
REFUSED: Final = (
    "connection refused: no program listens there: start 'bore server', or check the port, which is 7835 unless the "
    "server has another one"
)


class ServersCase(ProcessCase):
    """Two servers, each at an address of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.first, self.second = loopbackHost(), loopbackHost()
        self.ports = {host: freePort(host) for host in (self.first, self.second)}

    def serve(self, host: str) -> Program:
        """Start one of the servers."""
        return self.server(host=host, port=self.ports[host])[0]

    def to(self, host: str) -> str:
        return f"{host}:{self.ports[host]}"

    def both(self, *words: str) -> Program:
        """A client that knows both of them."""
        return self.launch(self.to(self.first), "--to", self.to(self.second), "--max-reconnect-delay", "1", *words)

    def portAt(self, client: Program, host: str, after: int = 0) -> int:
        """The public port at one of the servers, when the client reports it."""
        client.waitFor(f"listening at {host}:", after=after)
        return client.port(f"listening at {host}:", after=after)

    def assertServedAt(self, host: str, port: int) -> None:
        with connect(host, port) as visitor:
            visitor.sendall(b"hello")
            self.assertHears(visitor, b"hello")


class ChoiceTests(ServersCase):
    """Which server is used."""

    def test_theFirstIsUsedAsLongAsItIsThere(self) -> None:
        self.serve(self.first)
        second = self.serve(self.second)
        client = self.both()
        self.assertServedAt(self.first, self.portAt(client, self.first))
        self.assertEqual((client.err, len(second.err)), ([], 0))

    def test_theSecondIsUsedWhenTheFirstIsNotThereAtTheStart(self) -> None:
        self.serve(self.second)
        client = self.both()
        self.assertServedAt(self.second, self.portAt(client, self.second))
        self.assertComplains(client, f"cannot reach {self.to(self.first)}: {REFUSED}")

    def test_theyMayComeFromTheEnvironment(self) -> None:
        self.serve(self.second)
        servers = f"{self.to(self.first)}, {self.to(self.second)}"
        words = ["local", str(self.service.port), "-l", "127.0.0.1"]
        client = self.start(bore(*words, environment={"BORE_SERVER": servers}))
        self.assertServedAt(self.second, self.portAt(client, self.second))

    def test_oneThatForbidsTheUserIsPassedOver(self) -> None:
        self.server("--secret", "hush", host=self.first, port=self.ports[self.first])
        self.serve(self.second)
        client = self.both()
        self.assertServedAt(self.second, self.portAt(client, self.second))

    def test_theClientEndsWhenAllOfThemForbidTheUser(self) -> None:
        for host in (self.first, self.second):
            self.server("--secret", "hush", host=host, port=self.ports[host])
        client = self.both("--secret", "wrong")
        self.assertEqual(client.wait(), 77, client.transcript())
        self.assertIn("server error: invalid secret: give the client the server's secret", client.err[-1])

    def test_theSameTwiceIsWrongUsage(self) -> None:
        client = self.launch("a", "-t", "a:7835")
        self.assertEqual(client.wait(), 2)
        self.assertIn("--to names the same server twice", client.err[0])


class LossTests(ServersCase):
    """A server is lost."""

    def test_theClientIsAtTheSecondWhileTheFirstStillDrainsItsVisitors(self) -> None:
        first = self.serve(self.first)
        self.serve(self.second)
        client = self.both()
        had = self.portAt(client, self.first)
        visitor = self.visitor(had, host=self.first)
        self.assertEchoes(visitor)
        first.process.send_signal(signal.SIGTERM)
        port = self.portAt(client, self.second)
        # That takes half a second; the first server waits for its visitor for five.
        self.assertEchoes(visitor)
        self.assertIsNone(first.process.poll(), first.transcript())
        self.assertServedAt(self.second, port)
        visitor.close()
        self.assertEqual(first.wait(), 0)
        self.assertComplains(
            client,
            f"lost {self.to(self.first)}: server error: server is shutting down",
            f"the public address changed from {self.first}:{had} to {self.second}:{port}",
        )

    def test_theClientIsAtTheSecondWhenTheFirstIsKilled(self) -> None:
        first = self.serve(self.first)
        self.serve(self.second)
        client = self.both()
        self.portAt(client, self.first)
        first.kill()
        self.assertServedAt(self.second, self.portAt(client, self.second))
        client.waitFor(f"the public address changed from {self.first}:")

    def test_aBlipOfTheNetworkBringsTheClientBackToTheFirstWhichKeepsThePort(self) -> None:
        self.serve(self.first)
        self.serve(self.second)
        way = Forwarder(self.first, 0, (self.first, self.ports[self.first]))
        self.addCleanup(way.close)
        client = self.launch(f"{self.first}:{way.port}", "--to", self.to(self.second), "--lanes", "0")
        port = self.portAt(client, self.first)
        visitor = self.visitor(port, host=self.first)
        self.assertEchoes(visitor)
        for number in (1, 2):
            way.passages[0 if number == 1 else -1].cut()
            self.assertEqual(self.portAt(client, self.first, after=number), port)
        self.assertServedAt(self.first, port)
        self.assertEqual(count(client, f"listening at {self.second}"), 0, client.transcript())

    def test_theClientComesBackToWhicheverIsThere(self) -> None:
        servers = {host: self.serve(host) for host in (self.first, self.second)}
        client = self.both("--log-level", "info")
        port = self.portAt(client, self.first)
        for server in servers.values():
            server.kill()
        for host in (self.first, self.second):
            client.waitFor(f"cannot reach {self.to(host)}: connection refused", after=1)
        second = self.serve(self.second)
        self.portAt(client, self.second)
        second.kill()
        client.waitFor(f"lost {self.to(self.second)}")
        self.serve(self.first)
        self.assertEqual(self.portAt(client, self.first, after=1), port, "the port that it had there")
        self.assertServedAt(self.first, port)

    def test_eachServerHasAPortToComeBackTo(self) -> None:
        home = temporaryFolder(self)
        servers = {host: self.serve(host) for host in (self.first, self.second)}
        words = ["--to", self.to(self.second), "--max-reconnect-delay", "1"]
        client = self.launch(self.to(self.first), *words, home=home)
        had = {self.first: self.portAt(client, self.first)}
        servers[self.first].kill()
        had[self.second] = self.portAt(client, self.second)
        client.kill()
        servers[self.second].kill()
        self.assertEqual(len(list(home.rglob("*.json"))), 2)
        for host in (self.first, self.second):
            server = self.serve(host)
            client = self.launch(self.to(self.first), *words, home=home)
            self.assertEqual(self.portAt(client, host), had[host])
            client.kill()
            server.kill()


class GivingUpTests(ServersCase):
    """--exit-after-failures, and --no-reconnect."""

    def test_theClientEndsAfterSoManyFailures(self) -> None:
        client = self.both("--exit-after-failures", "3")
        self.assertEqual(client.wait(), 69, client.transcript())
        first, second = self.to(self.first), self.to(self.second)
        self.assertComplains(
            client,
            f"cannot reach {first}: {REFUSED}",
            f"cannot reach {second}: {REFUSED}",
            f"bore local: failures in a row: 3, the last one: cannot reach {first}: {REFUSED}",
        )

    def test_sessionsThatAreLostSoonCount(self) -> None:
        client = self.both("--exit-after-failures", "6")
        for number in range(20):
            server = self.serve(self.second)
            try:
                client.waitFor(f"listening at {self.second}:", after=number)
            except AssertionError:
                if client.process.poll() is None:
                    raise
                break
            server.kill()
        self.assertEqual(client.wait(), 69, client.transcript())
        self.assertIn("failures in a row: 6", client.err[-1])
        self.assertIn("lost ", "".join(client.err))

    def test_withoutReconnectOneFailureIsEnough(self) -> None:
        client = self.both("--no-reconnect")
        self.assertEqual(client.wait(), 69, client.transcript())
        self.assertEqual(client.err, [f"bore local: cannot reach {self.to(self.first)}: {REFUSED}"])
