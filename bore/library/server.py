"""A server in a program."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import cast

from twisted.internet.defer import Deferred, maybeDeferred

from bore.commandline import UsageError
from bore.events import Event, Sink
from bore.events.server import Listening
from bore.library.happenings import Watched
from bore.library.words import parsed
from bore.options.server import OF_PROGRAM, ServerCommand, serverCommand
from bore.server.log import ServerLog
from bore.serverprogram import serverProgram
from bore.startup import IProgramReactor
from bore.streams.addresses import parseHostPort


class Server(Watched):
    """
    A server, as ``bore server`` runs it.

    Make it by :meth:`open`.
    """

    def __init__(self, reactor: object, load: Callable[[], ServerCommand]) -> None:
        typed = cast(IProgramReactor, reactor)
        Watched.__init__(self, typed)
        self._listening: Listening | None = None
        log = ServerLog(typed)
        sink = Sink(log.failed)
        sink.subscribe(log)
        sink.subscribe(self._noticed)
        sink.subscribe(self._happenings.happened)
        self._service = serverProgram(typed, load(), load, (), sink)

    @classmethod
    def open(
        cls,
        reactor: object,
        *,
        controlPort: int = 0,
        bindAddr: str = "127.0.0.1",
        secret: str | None = None,
        secretFile: str | PathLike[str] | None = None,
        tls: bool = False,
        **options: object,
    ) -> Deferred[Server]:
        """
        Start a server.

        :param reactor: Twisted's.
        :param controlPort: the port for clients; 0: any that is free.
        :param bindAddr: the IP address of the control port and of public ports; ``0.0.0.0``: all that the machine has.
        :param secret: the secret that clients have to prove.
        :param secretFile: the file that has it, which other users must not be able to read.
        :param tls: whether clients have to use TLS.
        :param options: the further options of ``bore server``, in camelCase: ``minPort``, ``maxTunnels``, ``users``;
            without those of the log, the admin socket and the status port, which belong to the program.
        :returns: fires when it listens; fails with :class:`bore.server.service.CannotListen` if it cannot.
        :raises ValueError: when a parameter is invalid; the text says what would be right.
        """
        given = {
            "controlPort": controlPort,
            "bindAddr": bindAddr,
            "secret": secret,
            "secretFile": secretFile,
            "tls": tls,
            **options,
        }

        def load() -> ServerCommand:
            try:
                return parsed(serverCommand("Server.open"), given, without=OF_PROGRAM)
            except ValueError as e:
                raise UsageError(str(e)) from None

        try:
            server = cls(reactor, load)
        except UsageError as e:
            raise ValueError(str(e)) from None
        return Deferred.fromCoroutine(server._open())

    @property
    def address(self) -> tuple[str, int]:
        """Where clients connect to: an IP address, and the control port."""
        assert self._listening is not None
        host, port = parseHostPort(self._listening.at)
        return host, port or 0

    @property
    def fingerprint(self) -> str | None:
        """The fingerprint of its key, for ``tlsFingerprint`` of a tunnel; None without TLS."""
        assert self._listening is not None
        return self._listening.fingerprint

    def close(self) -> Deferred[None]:
        """
        Release all ports, tell the clients, and wait for running visitors, 5 seconds at most.

        :returns: fires when nothing is left. It may be called again: each Deferred fires then.
        """
        return Watched.close(self)

    async def _open(self) -> Server:
        try:
            self._service.startService()
        except Exception:
            await self.close()
            raise
        return self

    async def _close(self) -> None:
        if self._service.running:
            await maybeDeferred(self._service.stopService)
        self._happenings.end()

    def _noticed(self, event: Event) -> None:
        if isinstance(event, Listening) and self._listening is None:
            self._listening = event
