"""The checks of one server, from its name to the secret: each one only if those before it have not failed."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from twisted.internet.defer import Deferred, TimeoutError, gatherResults

from bore.client.advice import Tried
from bore.client.membership import askServer
from bore.client.reasons import ServerSilent
from bore.client.servers import Trusts
from bore.client.settings import ClientSettings
from bore.doctor import verdicts
from bore.doctor.findings import Check, Finding, State
from bore.doctor.localservice import FIRST_WORD, REQUEST
from bore.doctor.network import Talk, begin, contact, firstBytes, lookUp, proxiesIn, wayTo
from bore.doctor.verdicts import Trusted
from bore.events import Sink
from bore.streams.dial import TcpDialer
from bore.streams.encryption import NotTls
from bore.streams.reactor import IReactor
from bore.streams.resolver import RESOLVER, LookupFailed, Resolver
from bore.wire.clientsession import UNUSED_PORT
from bore.wire.errors import OtherProtocol
from bore.wire.extension import markedHello
from bore.wire.otherprotocols import otherServer
from bore.wire.publicaddress import ANY_PORT
from bore.wire.sessionevents import SessionOpened

#: How long a server without TLS has to answer a Hello, in seconds; ours answers at once.
_ANSWER: Final = 3.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """
    What the examination finds around it.

    :ivar environment: the environment variables.
    :ivar now: gives the time, in UTC.
    :ivar installed: when this program was written to the disk.
    :ivar resolver: looks names up.
    """

    environment: Mapping[str, str]
    now: Callable[[], datetime.datetime]
    installed: datetime.datetime
    resolver: Resolver = RESOLVER


class ServerChecks:
    """
    Examines one server.

    :param settings: those of the client, with this server alone.
    :param seconds: gives the time for the next step, in seconds; 0: the time is up.
    :ivar failed: the check that has failed; None: there is none. Later checks depend on it.
    """

    def __init__(
        self, reactor: IReactor, settings: ClientSettings, around: Surroundings, seconds: Callable[[], float]
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._around = around
        self._seconds = seconds
        self._proxies = proxiesIn(around.environment)
        self._server = settings.servers[0]
        self.tried = Tried(self._server, settings.tls is not None, ANY_PORT)
        self.failed: Check | None = None
        self._addresses: list[str] = []
        self._trusted: Trusted | BaseException | None = None
        self._agreed: SessionOpened | BaseException | None = None

    async def examine(self, report: Callable[[Finding], None]) -> None:
        """Make all checks; ``report`` is called with each finding."""
        steps: tuple[tuple[Check, Callable[[], Awaitable[Finding]]], ...] = (
            (Check.NAME, self._name),
            (Check.ROUTE, self._route),
            (Check.PORT, self._port),
            (Check.TLS, self._tls),
            (Check.CLOCK, self._clock),
            (Check.PROTOCOL, self._protocol),
            (Check.SECRET, self._secret),
        )
        for check, step in steps:
            because = "" if check is Check.CLOCK else self.objection()
            if because:
                report(verdicts.skipped(check, because))
                continue
            finding = await step()
            report(finding)
            if finding.state is State.FAIL and check is not Check.CLOCK:
                self.failed = check

    def objection(self) -> str:
        """Why no further check is made; empty: it can be."""
        if self.failed is not None:
            return f"as {self.failed.value} fails"
        return "" if self._seconds() else "the time is up"

    async def _name(self) -> Finding:
        host, start = self._server.host, self._reactor.seconds()
        found: list[str] | BaseException
        try:
            looking = Deferred.fromCoroutine(lookUp(self._reactor, host, self._around.resolver))
            found = self._addresses = await looking.addTimeout(self._seconds(), self._reactor)
        except TimeoutError:
            found = LookupFailed(f"the name {host} cannot be looked up: the name servers do not answer")
        except LookupFailed as e:
            found = e
        return verdicts.onName(host, found, self._reactor.seconds() - start, self.tried)

    async def _route(self) -> Finding:
        return verdicts.onRoute([wayTo(each, self._server.port) for each in self._addresses], self._proxies)

    async def _port(self) -> Finding:
        contacts = [contact(self._reactor, each, self._server.port, self._seconds()) for each in self._addresses]
        made = await gatherResults([Deferred.fromCoroutine(each) for each in contacts])
        return verdicts.onPort(made, self.tried, self._proxies)

    async def _tls(self) -> Finding:
        tls, answers = self._settings.tls, ""
        if tls is not None:
            from bore.doctor.encryption import encrypt

            trusts = Trusts(tls, self._settings.secret is not None, Sink())
            try:
                self._trusted = await encrypt(self._reactor, self._server, trusts, self._seconds())
            except Exception as e:
                self._trusted = e
                if isinstance(e, NotTls):
                    start = await self._firstBytes(markedHello(UNUSED_PORT))
                    answers = verdicts.whatAnswers(start, otherServer(start))
        return verdicts.onTls(self._trusted, self.tried, answers, self._around.now())

    async def _firstBytes(self, speak: bytes) -> bytes:
        """Return the first bytes of what answers without TLS; none: it does not. It is sent nothing that is secret."""
        try:
            talk = await begin(self._reactor, TcpDialer(self._reactor, *self._server), Talk(), self._seconds())
        except Exception:
            return b""
        return await firstBytes(self._reactor, talk, speak, FIRST_WORD, _ANSWER)

    async def _clock(self) -> Finding:
        return verdicts.onClock(self._around.now(), self._around.installed, self._trusted)

    async def _protocol(self) -> Finding:
        start = self._reactor.seconds()
        try:
            asking = askServer(self._reactor, self._settings, Sink())
            self._agreed = await asking.addTimeout(self._seconds(), self._reactor)
        except TimeoutError:
            kind = "" if self._settings.tls is not None else otherServer(await self._firstBytes(REQUEST))
            silent = ServerSilent("it accepts connections, and does not answer")
            self._agreed = OtherProtocol(kind) if kind else silent
        except Exception as e:
            self._agreed = e
        return verdicts.onProtocol(self._agreed, self.tried, self._reactor.seconds() - start)

    async def _secret(self) -> Finding:
        settings = self._settings
        return verdicts.onSecret(self._agreed, settings.secret is not None, settings.tls is not None, settings.user)
