"""The orders of the operator, as a worker carries them out."""

from __future__ import annotations

from typing import Final

from twisted.logger import Logger

from bore.server.server import Kicks
from bore.wire.workermessages import Done, Order
from bore.workers.inside import Inside

_NONE: Final = Kicks(0, 0, 0)


def carryOut(order: Order, inside: Inside) -> Done:
    """Carry out an order."""
    try:
        return _carryOut(order, inside)
    except Exception as e:
        Logger().failure("the order {order} could not be carried out", order=order.order)
        return Done(order.id, (), (), f"{type(e).__name__}: {e}")


def _carryOut(order: Order, inside: Inside) -> Done:
    match order.order:
        case "reload":
            lines, problem = inside.reload()
            return Done(order.id, (), tuple(lines), problem)
        case "rotate":
            inside.rotate()
            return Done(order.id, (), (), None)
        case "drain":
            return Done(order.id, (inside.core.giveTime(order.seconds),), (), None)
        case "kick":
            return Done(order.id, tuple(_kick(order, inside)), (), None)
        case other:
            return Done(order.id, (), (), f"this version has no order {other!r}")


def _kick(order: Order, inside: Inside) -> Kicks:
    server = inside.core.server
    if order.user is not None:
        return server.kick(order.user)
    tunnel = None if order.address is None else server.tunnels.get(order.address)
    return _NONE if tunnel is None else server.kickTunnel(tunnel)
