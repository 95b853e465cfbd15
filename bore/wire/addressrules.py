"""Rules on the addresses of visitors: which networks may visit, and which may not."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

from bore.wire.values import value

#: A network, or a single address as a network with one address.
Network: TypeAlias = IPv4Network | IPv6Network

#: The IPv6 addresses that stand for IPv4 addresses (RFC 4291, section 2.5.5.2).
_MAPPED: Final = IPv6Network("::ffff:0:0/96")

_EXPECTED: Final = "must be an address or a network, such as 192.0.2.7, 198.51.100.0/24 or 2001:db8::/32"


def parseNetwork(text: str) -> Network:
    """
    Parse ``ADDRESS/BITS``, or ``ADDRESS`` alone. A network of mapped IPv4 addresses is the network of those.

    :raises ValueError: when it is neither; its text says what would be right.
    """
    address, slash, bits = text.partition("/")
    if slash and not (bits.isascii() and bits.isdigit()):  # ipaddress also knows 255.255.255.0
        raise ValueError(_EXPECTED)
    try:
        literal = ip_address(address)
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(_EXPECTED if not slash else _wrongBits(address)) from None
    if "%" in address:
        raise ValueError("must be a network without a scope: leave %... out")
    if literal != network.network_address:
        raise ValueError(f"has bits set behind the first {bits}: for the network write {network}")
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


def _wrongBits(address: str) -> str:
    """What is wrong with a network whose address may be right."""
    try:
        most = ip_address(address).max_prefixlen
    except ValueError:
        return _EXPECTED
    return f"must have a number of bits from 0 to {most} behind the /"


@value
class AddressRules:
    """
    Which addresses may visit. The order of the networks means nothing.

    A visitor from a denied network is closed. If any network is allowed, a visitor from elsewhere is closed, too. So a
    network that is denied is an exception from the allowed network around it, and never the other way round.
    """

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is a rule."""
        return bool(self.allow or self.deny)

    def __len__(self) -> int:
        """How many networks there are."""
        return len(self.allow) + len(self.deny)

    def __add__(self, more: AddressRules) -> AddressRules:
        """Both together."""
        return AddressRules(self.allow + more.allow, self.deny + more.deny)


NO_RULES: Final = AddressRules()


class Networks:
    """
    A set of networks that finds the one that an address is in.

    There is a set of network numbers for each length of prefix that occurs: a look-up takes as many steps as there are
    lengths, 33 at most for IPv4 and 129 for IPv6, however many networks there are.
    """

    def __init__(self, networks: Iterable[Network]) -> None:
        found: dict[tuple[int, int], set[int]] = {}
        for each in networks:
            shift = each.max_prefixlen - each.prefixlen
            found.setdefault((each.version, shift), set()).add(int(each.network_address) >> shift)
        self._version4 = [(shift, numbers) for (version, shift), numbers in sorted(found.items()) if version == 4]
        self._version6 = [(shift, numbers) for (version, shift), numbers in sorted(found.items()) if version == 6]

    def has(self, version: int, address: int, size: int = 0) -> bool:
        """
        Whether an address is in one of the networks.

        :param size: with this number of bits at its end left open: whether the whole network is in one of them.
        """
        for shift, numbers in self._version4 if version == 4 else self._version6:
            if address >> shift in numbers and shift >= size:
                return True
        return False


class AddressFilter:
    """Decides which addresses may visit, by rules."""

    def __init__(self, rules: AddressRules) -> None:
        self._denied = Networks(rules.deny)
        self._allowed = Networks(rules.allow) if rules.allow else None

    def allows(self, host: str) -> bool:
        """
        Whether an address may visit.

        :param host: an IP address, as sockets have it; a mapped IPv4 address as IPv4. It may have a scope.
        """
        if ":" in host:
            version, address = 6, int(IPv6Address(host.partition("%")[0]))
        else:
            version, address = 4, int(IPv4Address(host))
        if self._denied.has(version, address):
            return False
        return self._allowed is None or self._allowed.has(version, address)


def uselessRule(rules: AddressRules) -> Network | None:
    """The first allowed network that has no effect, because a denied network contains all of it; None: all have one."""
    denied = Networks(rules.deny)
    for each in rules.allow:
        if denied.has(each.version, int(each.network_address), each.max_prefixlen - each.prefixlen):
            return each
    return None
