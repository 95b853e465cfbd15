"""
The custody of public addresses as values, with which the next process goes on.

Of the tokens there are only digests: the holders have the tokens, and their clients. Keys that are not known are
ignored, so that the version before and the one after can be read; a change that they could not understand needs another
VERSION.
"""

from __future__ import annotations

import os
import socket
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bore.server.custody import Holder, OpenPlace, Waiting
from bore.server.held import Held
from bore.server.localcustody import LocalCustody
from bore.server.places import Places
from bore.server.registry import Grant, LocalRegistry
from bore.server.users import User
from bore.wire.publicaddress import PublicAddress, UnixPath, parseUnixPath

VERSION: Final = 1


class BadState(Exception):
    """The state of an earlier process cannot be read."""


def export(
    custody: LocalCustody, registry: LocalRegistry, numberOf: Callable[[Holder], int]
) -> tuple[dict[str, Any], list[int]]:
    """
    Write down what is held. Nobody may be asked for a tunnel meanwhile: see :meth:`LocalCustody.settled`.

    :param numberOf: the numbers by which the next process knows the holders.
    :returns: the values, for JSON; and the descriptors that they refer to, which stay open here.
    """
    descriptors: list[int] = []

    def index(sock: socket.socket) -> int:
        descriptors.append(sock.fileno())
        return len(descriptors) - 1

    addresses = [
        {
            "address": each.address.path if isinstance(each.address, UnixPath) else each.address,
            "user": each.user.name,
            "epoch": each.grant.epoch,
            "since": each.since,
            "tokens": [digest.hex() for digest in registry.digests(each.address)],
            "lease": registry.left(each.address),
            "source": each.source,
            "lasting": each.lasting,
            "holder": None if each.share is None else numberOf(each.share.holder),
            "socket": index(each.place.socket),
            "waiting": [
                {
                    "socket": index(visitor.socket),
                    "peer": list(visitor.address),
                    "early": b64encode(visitor.early).decode(),
                    "age": visitor.age,
                }
                for visitor in each.waiting
            ],
        }
        for each in custody.held()
    ]
    return {"version": VERSION, "epoch": registry.lastEpoch, "addresses": addresses}, descriptors


def check(state: Mapping[str, Any]) -> None:
    """
    Check whether this version can go on with a state, without its descriptors.

    :raises BadState: when it cannot.
    """
    if state.get("version") != VERSION:
        raise BadState(f"the state of custody has version {state.get('version')}, and this program reads {VERSION}")
    try:
        int(state["epoch"])
        for each in state["addresses"]:
            _read(each)
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise BadState(f"the state of custody cannot be read: {type(e).__name__}: {e}") from e


def adopt(
    custody: LocalCustody,
    registry: LocalRegistry,
    places: Places,
    state: Mapping[str, Any],
    descriptors: Sequence[int],
    holders: Mapping[int, Holder],
) -> None:
    """
    Go on with what an earlier process has held. To be called before anyone is served.

    :param custody: has :meth:`~LocalCustody.forHolder` for the holders already.
    :param descriptors: those of :func:`export`, in its order; they belong to custody from now on.
    :param holders: by their numbers. The tunnels of others end, or wait for their clients.
    :raises BadState: when the state cannot be read; then nothing was changed, and the descriptors are open.
    """
    check(state)
    used = [one["socket"] for each in state["addresses"] for one in (each, *each.get("waiting", ()))]
    if any(not 0 <= each < len(descriptors) for each in used):
        raise BadState("descriptors of the state of custody are missing")
    found = [(Grant(*_read(each)), each) for each in state["addresses"]]
    registry.adopt(
        [(grant, [bytes.fromhex(one) for one in each["tokens"]], each.get("lease")) for grant, each in found],
        int(state["epoch"]),
    )
    for grant, each in found:
        place = _place(places, grant.address, _socket(descriptors[each["socket"]]))
        held = Held(grant, place, None, each["source"], each["lasting"])
        held.since = int(each.get("since", grant.epoch))
        for visitor in each.get("waiting", ()):
            peer, early = tuple(visitor["peer"]), b64decode(visitor["early"])
            held.waiting.append(Waiting(_socket(descriptors[visitor["socket"]]), peer, early, visitor["age"]))
        number = each.get("holder")
        holder = None if number is None else holders.get(number)
        custody.adopt(held, holder, mayWait=each.get("lease") is not None)


def _read(each: Mapping[str, Any]) -> tuple[PublicAddress, User, str, int]:
    """
    The parts of a grant.

    :raises ValueError: when one is not valid.
    """
    named = each["address"]
    address: PublicAddress = parseUnixPath(named) if isinstance(named, str) else int(named)
    [bytes.fromhex(one) for one in each["tokens"]], str(each["source"]), bool(each["lasting"]), int(each["socket"])
    for visitor in each.get("waiting", ()):
        tuple(visitor["peer"]), b64decode(visitor["early"]), float(visitor["age"]), int(visitor["socket"])
    return address, User(str(each["user"])), "", int(each["epoch"])


def _place(places: Places, address: PublicAddress, sock: socket.socket) -> OpenPlace:
    try:
        return places.restore(address, sock)
    except OSError:  # somebody has removed the file of the socket
        return OpenPlace(address, sock)


def _socket(descriptor: int) -> socket.socket:
    os.set_inheritable(descriptor, False)
    sock = socket.socket(fileno=descriptor)
    sock.setblocking(False)
    return sock
