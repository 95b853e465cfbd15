"""The options of the status port."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bore.commandline import UsageError, Values
from bore.option import Option, option, switch
from bore.options import values
from bore.options.statustokens import readTokens
from bore.status.settings import StatusPortSettings
from bore.streams.addresses import isLiteral, isLoopback, parsePort

#: Where the port listens if only its number is given.
_LOOPBACK: Final = "127.0.0.1"

_EXPECTED: Final = "must be PORT, which is on 127.0.0.1, or ADDRESS:PORT, such as 192.0.2.7:7836 or [::1]:7836"


def _address(text: str) -> tuple[str, int]:
    """Parse where to listen."""
    host, colon, port = text.rpartition(":")
    if host.startswith("["):
        inner = host[1:-1]
        valid = host.endswith("]") and ":" in inner
    else:
        inner = _LOOPBACK if host == "localhost" or not colon else host
        valid = ":" not in inner
    if not valid or not isLiteral(inner):
        raise ValueError(_EXPECTED)
    try:
        return inner, parsePort(port, lowest=0)
    except ValueError:
        raise ValueError(_EXPECTED) from None


def _tokenFile(text: str) -> Path:
    """Parse the name of the file with the tokens, and read it if there is one."""
    path = values.path(text)
    if path.is_file():
        readTokens(path)
    return path


_PORT: Final = option(
    "--status-port",
    "Serve metrics, health checks and a status page over HTTP here: PORT of 127.0.0.1, or ADDRESS:PORT",
    _address,
    "ADDRESS",
    None,
    unquoted=True,
)
TOKEN_FILE: Final = option(
    "--status-token-file",
    "File with the token for --status-port, needed beyond loopback; made if there is none",
    _tokenFile,
    "PATH",
    None,
    isFile=True,
)
_NO_TUNNEL_METRICS: Final = switch(
    "--no-tunnel-metrics", "Leave the metrics of single tunnels and users out of --status-port"
)

#: The options with a key in the settings files of both ends. None of them can change while the program runs.
KEYS: Final[tuple[Option[object], ...]] = (_PORT, TOKEN_FILE, _NO_TUNNEL_METRICS)


def statusPort(found: Values) -> StatusPortSettings | None:
    """
    Return the settings of the status port, or None if there is none.

    :raises UsageError: if it would be open to other machines without a token, or an option has no effect.
    """
    place = found[_PORT]
    if place is None:
        for each in (TOKEN_FILE, _NO_TUNNEL_METRICS):
            if found.given(each):
                raise UsageError(f"{found.name(each)} has no effect without {found.name(_PORT)}")
        return None
    tokens = found[TOKEN_FILE]
    if tokens is None and not isLoopback(place):
        raise UsageError(
            f"{found.name(_PORT)} on {place[0]} is open to other machines, so it needs a token: add "
            f"{found.name(TOKEN_FILE)} with a file, which is made if there is none"
        )
    return StatusPortSettings(*place, tokens, not found[_NO_TUNNEL_METRICS])
