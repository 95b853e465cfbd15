"""Asks a server about the line by which it was joined."""

from __future__ import annotations

from twisted.internet.defer import TimeoutError
from twisted.internet.error import ConnectionClosed
from twisted.python.failure import Failure

from bore import exits
from bore.client.log import logged
from bore.client.membership import askServer
from bore.client.reasons import describe
from bore.client.settings import ClientSettings
from bore.commandline import printable
from bore.startup import IProgramReactor
from bore.wire.errors import (
    AccessWithdrawn,
    AuthenticationFailed,
    RightsExpired,
    ServerHasNoSecret,
    SourceNotAllowed,
)
from bore.wire.sessionevents import SessionOpened


def check(reactor: IProgramReactor, settings: ClientSettings) -> tuple[int, str]:
    """
    Ask a server who it takes us for.

    :returns: the exit code, and what to print.
    """
    result = exits.FAILURE, "stopped: the server was not joined"
    stopping = False

    def answered(opened: SessionOpened | None) -> None:
        assert opened is not None, "an answer without a user"
        finish(exits.OK, f"{opened.user} may use: {printable(opened.rights) or 'any port of the server'}")

    def failed(reason: Failure) -> None:
        finish(_codeFor(reason.value), _reason(reason.value, settings))

    def finish(code: int, text: str) -> None:
        nonlocal result
        if not stopping:  # by a signal, which also ends the connection
            result = code, text
            reactor.stop()

    def stop() -> None:
        nonlocal stopping
        stopping = True

    def ask() -> None:
        askServer(reactor, settings, logged(reactor)).addCallbacks(answered, failed)

    reactor.addSystemEventTrigger("before", "shutdown", stop)
    reactor.callWhenRunning(ask)
    reactor.run()
    return result


def _codeFor(why: BaseException | None) -> int:
    if isinstance(why, AccessWithdrawn | RightsExpired | SourceNotAllowed):
        return exits.NO_PERMISSION
    code = exits.codeFor(why)
    return (
        exits.UNAVAILABLE
        if code == exits.FAILURE and isinstance(why, OSError | ConnectionClosed | TimeoutError)
        else code
    )


def _reason(why: BaseException | None, settings: ClientSettings) -> str:
    server = settings.servers[0]
    if isinstance(why, ServerHasNoSecret):
        return f"{server} has no users: its operator has to start it with --users and the users file"
    if isinstance(why, AuthenticationFailed):
        return (
            f"{server} does not accept {settings.user} with this line: it was revoked or replaced, or it has expired. "
            "Ask for a new one"
        )
    return f"{server}: {describe(why)}"
