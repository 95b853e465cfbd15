"""Exit codes, for scripts and for systemd's RestartPreventExitStatus. The numbers are those of sysexits.h."""

from __future__ import annotations

import atexit
import os
import sys
from typing import Final

from bore.client.reasons import ServerUnreachable
from bore.logs import outlet
from bore.tls.errors import ServerNotTrusted
from bore.wire.errors import AuthenticationFailed

#: Ended on purpose.
OK: Final = 0
#: Anything that has no code of its own.
FAILURE: Final = 1
#: The command line is wrong.
USAGE: Final = 2
#: The server cannot be reached, and --no-reconnect or --exit-after-failures forbids to wait for it any longer.
UNAVAILABLE: Final = 69
#: At the first attempt, what the server has shown inside TLS is not what was expected of it.
NOT_TRUSTED: Final = 76
#: The two ends do not share a secret.
NO_PERMISSION: Final = 77


def codeFor(error: BaseException | None) -> int:
    """The exit code that tells of this error."""
    match error:
        case AuthenticationFailed():
            return NO_PERMISSION
        case ServerNotTrusted():
            return NOT_TRUSTED
        case ServerUnreachable():
            return UNAVAILABLE
        case _:
            return FAILURE


def leaveWith(code: int) -> None:
    """
    Have the process end with this code, whatever the program that runs us thinks.

    twistd ends with 0 when the reactor was stopped, and offers no other way.
    """

    def leave() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        outlet.finish()
        os._exit(code)

    atexit.register(leave)
