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
from bore.wire.errors import AuthenticationFailed
from bore.wire.sessionevents import SessionOpened


def check(reactor: IProgramReactor, settings: ClientSettings) -> tuple[int, str]:
    """
    Ask a server who it takes us for.

    :returns: the exit code, and what to print.
    """
    result: list[tuple[int, str]] = []

    def answered(opened: SessionOpened) -> None:
        result.append((exits.OK, f"{opened.user} may use: {printable(opened.rights) or 'any port of the server'}"))

    def failed(reason: Failure) -> None:
        result.append((_codeFor(reason.value), _reason(reason.value, settings)))

    def ask() -> None:
        asking = askServer(reactor, settings, logged(reactor))
        asking.addCallbacks(answered, failed).addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(ask)
    reactor.run()
    return result[0] if result else (exits.FAILURE, "stopped")


def _codeFor(why: BaseException | None) -> int:
    code = exits.codeFor(why)
    return (
        exits.UNAVAILABLE
        if code == exits.FAILURE and isinstance(why, OSError | ConnectionClosed | TimeoutError)
        else code
    )


def _reason(why: BaseException | None, settings: ClientSettings) -> str:
    server = settings.servers[0]
    if isinstance(why, AuthenticationFailed):
        return (
            f"{server} does not accept {settings.user} with this line: it was revoked or replaced, or it has expired. "
            "Ask for a new one"
        )
    return f"{server}: {describe(why)}"
