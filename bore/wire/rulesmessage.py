"""The message of the extension with a tunnel's own rules on the addresses of its visitors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

from bore.wire import serde
from bore.wire.addressrules import AddressRules, Network, parseNetwork
from bore.wire.framing import encodeFrame
from bore.wire.limits import MAX_EXTENDED_FRAME
from bore.wire.values import value

#: The networks in the rules of one tunnel, at most: longer lists belong to the server, which reads them once.
MAX_NETWORKS: Final = 512

#: The networks in one frame, at most. An IPv6 network takes up to 46 characters.
_IN_FRAME: Final = 80


@value
class Rules:
    """
    Client: rules for the tunnel of the next Open. Several of these messages in front of one Open add up.

    :ivar rules: at least one network.
    """

    rules: AddressRules


def rulesFrames(rules: AddressRules) -> bytes:
    """Encode rules as frames, as many as they need; none if there is no rule."""
    allow, deny = iter(rules.allow), iter(rules.deny)
    frames = b""
    while part := AddressRules(some := tuple(islice(allow, _IN_FRAME)), tuple(islice(deny, _IN_FRAME - len(some)))):
        frames += encodeFrame(f'{{"Rules":{rulesText(part)}}}', MAX_EXTENDED_FRAME)
    return frames


def rulesText(rules: AddressRules) -> str:
    """The value of Rules, as JSON."""
    return f'{{"allow":{_listed(rules.allow)},"deny":{_listed(rules.deny)}}}'


def _listed(networks: Sequence[Network]) -> str:
    return "[" + ",".join(f'"{each}"' for each in networks) + "]"


def rulesFrom(content: object) -> Rules:
    """Read the value of Rules."""
    allow, deny = serde.fields(content, "allow", "deny")
    rules = AddressRules(_networks(allow), _networks(deny))
    if not rules:
        raise serde.BadContent("no networks")
    return Rules(rules)


def _networks(content: object) -> tuple[Network, ...]:
    if content is None:
        return ()
    if isinstance(content, list) and not isinstance(content, serde.Object):
        return tuple(map(_network, content))
    raise serde.BadContent("not a list of networks")


def _network(content: object) -> Network:
    try:
        return parseNetwork(serde.text(content))
    except ValueError:
        raise serde.BadContent("not a network") from None
