"""
Exit codes, for scripts and for systemd's RestartPreventExitStatus.

The numbers are those of sysexits.h, apart from the usual 1 and 2.
"""

from __future__ import annotations

from typing import Final

#: Stopped on request.
OK: Final = 0
#: An error without a code of its own.
FAILURE: Final = 1
#: The command line, an environment variable or a settings file is invalid.
USAGE: Final = 2
#: The server cannot be reached, and --no-reconnect or --exit-after-failures limits the attempts; no running program
#: answers at its admin socket.
UNAVAILABLE: Final = 69
#: At the first attempt, the server's TLS certificate or key was not the expected one.
NOT_TRUSTED: Final = 76
#: Server and client do not have the same secret; this user may not use an admin socket.
NO_PERMISSION: Final = 77


def codeFor(error: BaseException | None) -> int:
    """Return the exit code for the error that has ended a client."""
    # Imported late: bore --version does not load Twisted.
    from bore.client.reasons import ServerUnreachable
    from bore.tls.errors import ServerNotTrusted
    from bore.wire.errors import AuthenticationFailed

    match error:
        case AuthenticationFailed():
            return NO_PERMISSION
        case ServerNotTrusted():
            return NOT_TRUSTED
        case ServerUnreachable():
            return UNAVAILABLE
        case _:
            return FAILURE
