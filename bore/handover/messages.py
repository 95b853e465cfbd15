"""
What the two processes say to each other: JSON texts, each followed by one NUL byte.

The two may be of different versions: what is not known, message or key, is ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, TypeAlias

from bore.client.estate import Estate, Inherited, fieldsOfEstate, fieldsOfTunnels, readEstate, readTunnels
from bore.wire.errors import MalformedMessage
from bore.wire.framing import encodeFrame
from bore.wire.values import value

#: The longest message, in bytes: a client has at most some thousand tunnels at some servers.
LONGEST: Final = 1 << 23

#: The longest text for people, in characters.
_LONGEST_TEXT: Final = 1000


@value
class Started:
    """The successor has started, as this process. Sent by what starts it, and by itself."""

    pid: int


@value
class Opened:
    """The successor has these tunnels, with these tokens."""

    tunnels: tuple[Inherited, ...]


@value
class Trouble:
    """The successor does not have its tunnels yet, for this reason."""

    why: str


@value
class Ready:
    """The successor has all tunnels."""


@value
class Leaving:
    """The successor has let go of all tunnels, as :class:`Back` wants it."""


@value
class Bequest:
    """
    What the successor gets: the first message to it.

    :ivar pid: the process that it takes over from.
    :ivar statusPort: where the status port is, as the settings have it; empty: there is none.
    :ivar statusSocket: the descriptor of its listening socket, which the successor has inherited.
    """

    pid: int
    estate: Estate
    statusPort: str
    statusSocket: int


@value
class Yours:
    """The successor is the client from now on."""


@value
class Back:
    """The successor has to leave the tunnels to the process again."""


@value
class End:
    """The other process has to end in order, as this one was asked to."""


Message: TypeAlias = Started | Opened | Trouble | Ready | Leaving | Bequest | Yours | Back | End


def encode(message: Message) -> bytes:
    """
    Return a message as it is sent.

    :raises bore.wire.errors.FrameTooLong: if it is too long.
    """
    fields: dict[str, object]
    match message:
        case Started(pid):
            fields = {"pid": pid}
        case Opened(tunnels):
            fields = {"tunnels": fieldsOfTunnels(tunnels)}
        case Trouble(why):
            fields = {"why": why[:_LONGEST_TEXT]}
        case Bequest(pid, estate, port, descriptor):
            inherited = {"statusPort": port, "statusSocket": descriptor}
            fields = {"pid": pid, "estate": fieldsOfEstate(estate), **inherited}
        case _:
            fields = {}
    return encodeFrame(json.dumps({type(message).__name__: fields}), LONGEST)


def decode(frame: bytes) -> Message | None:
    """
    Return a message; None: it is one that this version does not know.

    :raises bore.wire.errors.MalformedMessage: if it is none.
    """
    try:
        content = json.loads(frame)
        if not (isinstance(content, dict) and len(content) == 1):
            raise ValueError("not a message")
        ((name, fields),) = content.items()
        if not isinstance(fields, dict):
            raise ValueError(f"{name} without fields")
        return _decoded(name, fields)
    except (ValueError, RecursionError) as e:
        raise MalformedMessage(str(e)) from e


def _decoded(name: str, fields: Mapping[str, object]) -> Message | None:
    match name, fields:
        case "Started", {"pid": int(pid)} if pid > 0:
            return Started(pid)
        case "Opened", {"tunnels": tunnels}:
            return Opened(readTunnels(tunnels))
        case "Trouble", {"why": str(why)}:
            return Trouble(why[:_LONGEST_TEXT])
        case (
            "Bequest",
            {"pid": int(pid), "estate": dict(estate), "statusPort": str(port), "statusSocket": int(descriptor)},
        ):
            return Bequest(pid, readEstate(estate), port, descriptor)
        case (("Started" | "Opened" | "Trouble" | "Bequest"), _):
            raise ValueError(f"a field of {name} is missing, or wrong")
    simple = _SIMPLE.get(name)
    return None if simple is None else simple()


_SIMPLE: Final = {kind.__name__: kind for kind in (Ready, Leaving, Yours, Back, End)}
