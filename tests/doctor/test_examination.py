"""Each check fails for real once, on loopback: servers of ours, of others, and none."""

from __future__ import annotations

import datetime
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from bore.client.settings import ClientSettings, ServerAddress
from bore.client.target import Target, UnixTarget
from bore.client.tunnelspec import TunnelSpec
from bore.doctor.examination import Examination
from bore.doctor.findings import Check, Finding, State
from bore.doctor.serverchecks import Surroundings
from bore.events import Sink
from bore.server.service import ServerService
from bore.server.settings import ServerSettings
from bore.streams.addresses import Place
from bore.streams.reactor import IReactor
from bore.streams.resolver import LookupFailed, Resolver
from bore.tls.settings import ClientTls, ServerTls
from bore.wire.addressrules import AddressRules, parseNetwork
from bore.wire.proxyprotocol import Version
from bore.wire.publicaddress import UnixPath
from bore.wire.secret import Secret
from tests.ports import freePort, loopbackHost
from tests.support import LocalService, echo, temporaryFolder

SECRET: Final = Secret("correct horse battery staple")

#: The checks of a server and of its tunnels.
OF_SERVER: Final = tuple(check for check in Check if check is not Check.LOCAL)


def http(sock: socket.socket) -> None:
    """A web server."""
    sock.recv(1000)
    sock.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")


def ssh(sock: socket.socket) -> None:
    """An SSH server."""
    sock.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
    sock.recv(1000)


def hangUp(sock: socket.socket) -> None:
    """What closes each connection after the first bytes."""
    sock.recv(1000)


class ExaminationCase(TestCase):
    """Servers and local services on real sockets."""

    def setUp(self) -> None:
        self.host = loopbackHost()
        self.folder = temporaryFolder(self)
        self.now = datetime.datetime.now(datetime.UTC)
        self.environment: dict[str, str] = {}
        self.resolver = Resolver()
        self.found: list[Finding] = []
        self.sink = Sink()

    def server(self, **settings: Any) -> int:
        """Start a server, and return its control port."""
        made = replace(ServerSettings(1024, bindAddr=self.host, bindTunnels=self.host, controlPort=0), **settings)
        service = ServerService(cast(IReactor, reactor), made, sink=self.sink)
        service.startService()
        self.addCleanup(service.stopService)
        return service.controlPort

    def service(self, serve: Callable[[socket.socket], None]) -> int:
        """Start another program, and return its port."""
        service = LocalService(serve, self.host)
        self.addCleanup(service.close)
        return service.port

    async def examine(
        self, port: int, specs: Sequence[TunnelSpec] = (), host: str = "", **settings: Any
    ) -> dict[Check, Finding]:
        """Examine a client of a server, and return the last finding of each check."""
        made = ClientSettings((ServerAddress(host or self.host, port),), **settings)
        around = Surroundings(
            self.environment, lambda: self.now, datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), self.resolver
        )
        tunnels = specs or [TunnelSpec(Target(self.service(http), self.host))]
        whole = Examination(cast(IReactor, reactor), made, tunnels, True, around, self.found.append)
        await Deferred.fromCoroutine(whole.run())
        return {finding.check: finding for finding in self.found}

    def assertFails(self, found: dict[Check, Finding], check: Check, text: str, advice: str = "") -> None:
        """A check of the server fails, and all later ones but that of the clock are skipped."""
        self.assertIs(found[check].state, State.FAIL, found[check])
        self.assertIn(text, found[check].text)
        self.assertIn(advice, "\n".join(found[check].advice))
        for each in OF_SERVER[OF_SERVER.index(check) + 1 :]:
            if each is not Check.CLOCK:
                self.assertEqual((found[each].state, found[each].text), (State.SKIP, f"as {check.value} fails"))
        for each in OF_SERVER[: OF_SERVER.index(check)]:
            self.assertNotIn(found[each].state, (State.FAIL, State.SKIP), found[each])

    def assertWell(self, found: dict[Check, Finding], *warned: Check) -> None:
        """No check fails, and only these warn."""
        for check in Check:
            self.assertIs(found[check].state, State.WARN if check in warned else State.OK, found[check])


class WellTests(ExaminationCase):
    """Everything works."""

    async def test_aPlainServer(self) -> None:
        found = await self.examine(self.server())
        self.assertWell(found)
        self.assertIn("HTTP, status 204", found[Check.LOCAL].text)
        self.assertIn("extension", found[Check.PROTOCOL].text)

    async def test_aServerWithTlsAndASecretOfWhichNothingIsWrittenDown(self) -> None:
        port = self.server(tls=ServerTls(folder=self.folder / "server"), secret=SECRET)
        known = self.folder / "known_servers"
        found = await self.examine(port, tls=ClientTls(knownServers=known), secret=SECRET)
        self.assertWell(found)
        self.assertIn("has proved that it knows it", found[Check.SECRET].text)
        self.assertIn("TLS 1.3, key SHA256:", found[Check.TLS].text)
        self.assertFalse(known.exists())

    async def test_aNewServerWithoutASecretIsNotWrittenDownEither(self) -> None:
        port = self.server(tls=ServerTls(folder=self.folder / "server"))
        known = self.folder / "known_servers"
        self.assertWell(await self.examine(port, tls=ClientTls(knownServers=known)))
        self.assertFalse(known.exists())

    async def test_theWantedPortIsUsedAndFreeAgain(self) -> None:
        port, public = self.server(), freePort(self.host)
        spec = TunnelSpec(Target(self.service(ssh), self.host), public)
        found = await self.examine(port, [spec])
        self.assertWell(found)
        self.assertIn(f":{public} from here came back", found[Check.END_TO_END].text)
        self.assertIn("an SSH server", found[Check.LOCAL].text)
        socket.create_server((self.host, public)).close()

    async def test_severalTunnelsAreNamed(self) -> None:
        specs = [
            TunnelSpec(Target(self.service(echo), self.host), name="one"),
            TunnelSpec(Target(self.service(http), self.host), name="two", proxyProtocol=Version.V1),
        ]
        self.assertWell(await self.examine(self.server(), specs))
        for check in (Check.RANGE, Check.LOCAL, Check.END_TO_END):
            self.assertEqual([each.tunnel for each in self.found if each.check is check], ["one", "two"])

    async def test_unixSocketsAtBothEnds(self) -> None:
        path = self.folder / "app.sock"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            service = LocalService(http, listener=listener)
            self.addCleanup(service.close)
            port = self.server(unixFolders=(str(self.folder),))
            spec = TunnelSpec(UnixTarget(str(path)), UnixPath(str(self.folder / "web.sock")))
            found = await self.examine(port, [spec])
        self.assertWell(found)
        self.assertIn("HTTP, status 204", found[Check.LOCAL].text)
        self.assertIn("only programs at the server can visit it", found[Check.END_TO_END].text)

    async def test_aProxyOfTheEnvironmentIsNamed(self) -> None:
        self.environment["https_proxy"] = "http://proxy.example:3128"
        found = await self.examine(self.server())
        self.assertIn("https_proxy names a proxy", found[Check.ROUTE].advice[0])


class FailingTests(ExaminationCase):
    """One check fails."""

    async def test_theName(self) -> None:
        def ask(name: str) -> list[Place]:
            raise LookupFailed(f"the name {name} does not exist, or has no address", temporary=False)

        self.resolver = Resolver(ask)
        found = await self.examine(7835, host="nowhere.example")
        self.assertFails(found, Check.NAME, "the name nowhere.example does not exist", "check the name in --to")
        self.assertIs(found[Check.LOCAL].state, State.OK)

    async def test_theRoute(self) -> None:
        found = await self.examine(7835, host="fe80::1%nowhere")
        self.assertFails(found, Check.ROUTE, "there is none to fe80::1%nowhere", "connect this machine to a network")

    async def test_thePort(self) -> None:
        found = await self.examine(freePort(self.host))
        self.assertFails(found, Check.PORT, "connection refused", "start 'bore server'")

    async def test_oneOfTwoAddresses(self) -> None:
        other = loopbackHost()
        self.resolver = Resolver(lambda name: [(socket.AF_INET, (host, 0)) for host in (other, self.host)])
        found = await self.examine(self.server(), host="two.example")
        self.assertIs(found[Check.PORT].state, State.WARN)
        self.assertIn(f"{other}: connection refused", found[Check.PORT].text)

    async def test_tlsWhereTheServerHasNone(self) -> None:
        found = await self.examine(self.server(), tls=ClientTls())
        self.assertFails(found, Check.TLS, "'bore server' answers there without TLS", "without tls://")

    async def test_tlsWhereAnotherProgramAnswers(self) -> None:
        found = await self.examine(self.service(ssh), tls=ClientTls())
        self.assertFails(found, Check.TLS, "an SSH server answers there", "check the port in --to")

    async def test_aKeyThatIsNotTheExpectedOne(self) -> None:
        port = self.server(tls=ServerTls(folder=self.folder / "server"))
        found = await self.examine(port, tls=ClientTls(fingerprint="SHA256:" + "k" * 43))
        self.assertFails(found, Check.TLS, "--tls-fingerprint requires")
        self.assertEqual(found[Check.TLS].code, 76)

    async def test_noTlsWhereTheServerHasIt(self) -> None:
        port = self.server(tls=ServerTls(folder=self.folder / "server"))
        found = await self.examine(port)
        self.assertFails(found, Check.PROTOCOL, "this port speaks TLS", f"give --to tls://{self.host}:{port}")

    async def test_anotherServer(self) -> None:
        for serve, text in ((http, "an HTTP server answers there"), (ssh, "an SSH server"), (hangUp, "it closed")):
            self.found.clear()
            found = await self.examine(self.service(serve))
            self.assertFails(found, Check.PROTOCOL, text, "check the port")

    async def test_aClockThatIsWrong(self) -> None:
        self.now = datetime.datetime(1980, 1, 1, tzinfo=datetime.UTC)
        found = await self.examine(self.server())
        self.assertIs(found[Check.CLOCK].state, State.FAIL)
        self.assertIn("this machine reads 1980-01-01", found[Check.CLOCK].text)
        self.assertIs(found[Check.END_TO_END].state, State.OK)

    async def test_theSecret(self) -> None:
        port = self.server(secret=SECRET)
        found = await self.examine(port, secret=Secret("another one that is long"))
        self.assertFails(found, Check.SECRET, "invalid secret", "compare both files")
        self.found.clear()
        found = await self.examine(port)
        self.assertFails(found, Check.SECRET, "no client secret was provided")
        self.assertEqual(found[Check.SECRET].code, 77)

    async def test_theRange(self) -> None:
        spec = TunnelSpec(Target(self.service(http), self.host), 80)
        found = await self.examine(self.server(minPort=20000, maxPort=20999), [spec])
        self.assertFails(found, Check.RANGE, "port 80 is outside this server's range, 20000 to 20999")

    async def test_aPortThatIsInUseIsAWarningAndTheVisitGoesToAnother(self) -> None:
        public = freePort(self.host)
        with socket.create_server((self.host, public)):
            spec = TunnelSpec(Target(self.service(http), self.host), public)
            found = await self.examine(self.server(), [spec])
        self.assertWell(found, Check.RANGE)
        self.assertNotIn(f":{public} ", found[Check.END_TO_END].text)

    async def test_theLocalService(self) -> None:
        spec = TunnelSpec(Target(freePort(), "127.0.0.1"))
        found = await self.examine(self.server(), [spec])
        self.assertIs(found[Check.LOCAL].state, State.FAIL)
        self.assertIn("connection refused", found[Check.LOCAL].text)
        self.assertIs(found[Check.END_TO_END].state, State.OK)

    async def test_aVisitThatTheServerDoesNotLetThrough(self) -> None:
        rules = AddressRules(allow=(parseNetwork("192.0.2.0/24"),))
        spec = TunnelSpec(Target(self.service(http), self.host), rules=rules)
        found = await self.examine(self.server(), [spec])
        self.assertIs(found[Check.END_TO_END].state, State.FAIL)
        self.assertIn("did not come through", found[Check.END_TO_END].text)
        self.assertIn("hairpin NAT", "\n".join(found[Check.END_TO_END].advice))


class TimeTests(ExaminationCase):
    """Nothing takes longer than its time."""

    async def test_whenTheTimeIsUpTheRestIsSkipped(self) -> None:
        self.patch(Examination, "_seconds", lambda _: 0.0)
        found = await self.examine(self.server())
        for check in OF_SERVER:
            if check is not Check.CLOCK:
                self.assertEqual((found[check].state, found[check].text), (State.SKIP, "the time is up"))
