"""A tunnel in a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import Final, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory

from bore.client.log import ClientLog
from bore.client.service import ClientService
from bore.client.target import ProvidedTarget
from bore.events import Event, Sink
from bore.events.client import AddressChanged, TunnelUp
from bore.library.arrivals import Arrivals, addressFor
from bore.library.happenings import Watched
from bore.library.words import parsed
from bore.options.client import ClientCommand, libraryCommand
from bore.streams.addresses import parseHostPort
from bore.streams.reactor import IReactor
from bore.wire.proxyprotocol import Version

#: What events call a local service of this process.
_HERE: Final = "this process"


class Tunnel(Watched):
    """
    A tunnel: visitors of a public port of a server come to a local service. It is kept up, as by ``bore local``: it
    comes back after every failure, and asks for the public port that it had.

    Make it by :meth:`open`.
    """

    def __init__(self, reactor: object, command: ClientCommand, local: IProtocolFactory | None, name: str) -> None:
        typed = cast(IReactor, reactor)
        Watched.__init__(self, typed)
        self._public = ("", 0)
        self._arrivals: Arrivals | None = None
        (spec,) = command.tunnels
        if local is not None:
            self._arrivals = Arrivals(local)
            spec = replace(spec, target=ProvidedTarget(name, self._arrivals.withReactor), proxyProtocol=Version.V2)
        log = ClientLog(typed)
        sink = Sink(log.failed)
        sink.subscribe(log)
        sink.subscribe(self._noticed)
        sink.subscribe(self._happenings.happened)
        self._service = ClientService(typed, command.settings, [spec], sink)

    @classmethod
    def open(
        cls,
        reactor: object,
        *,
        local: int | str | IProtocolFactory,
        to: str | Sequence[str],
        port: int | str = 0,
        secret: str | None = None,
        secretFile: str | PathLike[str] | None = None,
        keepAddress: bool = False,
        name: str = _HERE,
        **options: object,
    ) -> Deferred[Tunnel]:
        """
        Open a tunnel.

        :param reactor: Twisted's.
        :param local: the local service, as ``bore local`` takes it: a port, ``HOST:PORT``, ``unix:PATH``. Or a factory
            of protocols: visitors are connected with its protocols without a port, and their transports have the
            visitors' addresses.
        :param to: the server, as ``--to`` takes it: ``tls://HOST``, ``HOST:PORT``, the line of an invitation; or
            several, of which one is used at a time.
        :param port: the public port to ask for; 0: any.
        :param secret: the secret shared with the server.
        :param secretFile: the file that has it, which other users must not be able to read.
        :param keepAddress: whether the public port is saved in the user's state directory for the next start.
        :param name: what the log calls a local service of this process, and the saved port.
        :param options: the further options of ``bore local``, in camelCase: ``tlsFingerprint``, ``maxVisitors``;
            without those of the log, the admin socket and the status port, which belong to the program.
        :returns: fires with the tunnel when it is up. It fails with :class:`bore.wire.errors.AuthenticationFailed` or
            anything else that waiting cannot mend; a server that cannot be reached is tried again, without an end.
            Cancelling it closes the tunnel.
        :raises ValueError: when a parameter is invalid; the text says what would be right.
        """
        given = {"to": to, "port": port, "secret": secret, "secretFile": secretFile, "noState": not keepAddress}
        provided = None if isinstance(local, int | str) else local
        words = () if provided is not None else (str(local),)
        command = parsed(libraryCommand("Tunnel.open"), {**options, **given}, words)
        return Deferred.fromCoroutine(cls(reactor, command, provided, name)._open())

    @property
    def address(self) -> tuple[str, int]:
        """The public address: the host as the server was named, and the port. It may change when the server is lost."""
        return self._public

    @property
    def url(self) -> str:
        """The public address as ``http://HOST:PORT``."""
        host, port = self._public
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def whenGaveUp(self) -> Deferred[None]:
        """
        Wait until there is no further attempt.

        :returns: fails with the reason then.
        """
        return self._service.whenGaveUp()

    def close(self) -> Deferred[None]:
        """
        Give the public port back, and wait for running visitors, 5 seconds at most; then one more for the transports
        of a factory, which are aborted.

        :returns: fires when nothing is left. It may be called again: each Deferred fires then.
        """
        return Watched.close(self)

    async def _open(self) -> Tunnel:
        self._service.startService()
        try:
            await self._service.whenOpened()
            if self._arrivals is not None:
                self._arrivals.start()
        except Exception:  # it was cancelled, or will never be up, or the factory does not start
            await self.close()
            raise
        return self

    async def _close(self) -> None:
        if self._service.running:
            await self._service.stopService()
        if self._arrivals is not None:
            await self._arrivals.end()
        self._happenings.end()

    def _noticed(self, event: Event) -> None:
        if isinstance(event, TunnelUp | AddressChanged):
            host, port = parseHostPort(event.public) if not event.public.startswith("unix:") else (event.public, 0)
            self._public = host, port or 0
            if self._arrivals is not None:
                self._arrivals.host = addressFor(*self._public)
