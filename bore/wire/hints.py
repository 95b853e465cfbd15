"""
Which worker a connection to the control port belongs to, as its first bytes tell.

Whatever these bytes are, the answer is a number or none: what is not a message of ours is refused by the worker that
gets it, as by a server without workers.
"""

from __future__ import annotations

from bore.wire.clienthello import protocolsOffered
from bore.wire.errors import MalformedMessage
from bore.wire.extension import Lane, decodeRequest
from bore.wire.limits import MAX_FRAME
from bore.wire.messages import Accept
from bore.wire.more import More
from bore.wire.workernumbers import NO_WORKER, workerOfHint, workerOfId, workerOfToken

#: What may stand before a JSON text.
_WHITE_SPACE = b" \t\n\r"


def hintOfTls(start: bytes) -> int | More:
    """
    Find the hint of a connection with TLS, among the protocols that it offers.

    :param start: its first bytes.
    :returns: the number of a worker, NO_WORKER, or how many further bytes are needed.
    """
    offered = protocolsOffered(start)
    if offered is None or isinstance(offered, More):
        return offered or NO_WORKER
    for each in offered:
        worker = workerOfHint(each.decode("latin-1"))
        if worker:
            return worker
    return NO_WORKER


def hintOfPlain(start: bytes) -> int | More:
    """
    Find the hint of a connection without TLS and without a proof, in its first message.

    :param start: its first bytes.
    :returns: the number of a worker, NO_WORKER, or how many further bytes are needed.
    """
    frame, end, _ = start[: MAX_FRAME + 1].partition(b"\0")
    if not end:
        begin = frame.lstrip(_WHITE_SPACE)
        undecided = len(frame) <= MAX_FRAME and begin[:1] in (b"", b"{")
        return More(1) if undecided else NO_WORKER
    try:
        request = decodeRequest(frame)
    except MalformedMessage:
        return NO_WORKER
    match request:
        case Lane(token):
            return workerOfToken(token)
        case Accept(id):
            return workerOfId(id)
        case _:
            return NO_WORKER
