"""Rules on the addresses of visitors."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.addressrules import AddressFilter, AddressRules, Network, Networks, parseNetwork, uselessRule

#: Few addresses that share prefixes of all lengths, so that networks contain each other and addresses.
NUMBERS4 = st.integers(0, 15).map(lambda number: (number & 3) << 30 | number >> 2)
NUMBERS6 = st.integers(0, 15).map(lambda number: (number & 3) << 126 | number >> 2)


def networkOf(number: int, bits: int, prefix: int) -> Network:
    address = IPv4Address(number) if bits == 32 else IPv6Address(number)
    return ip_network((address, prefix), strict=False)


NETWORKS = st.one_of(
    st.builds(networkOf, NUMBERS4, st.just(32), st.integers(0, 32)),
    st.builds(networkOf, NUMBERS6, st.just(128), st.integers(0, 128)),
)
ADDRESSES = st.one_of(NUMBERS4.map(IPv4Address), NUMBERS6.map(IPv6Address))
LISTS = st.lists(NETWORKS, max_size=4).map(tuple)


def rules(allow: str = "", deny: str = "") -> AddressRules:
    return AddressRules(tuple(map(parseNetwork, allow.split())), tuple(map(parseNetwork, deny.split())))


class CountedAddress(int):
    """Counts how often it is looked up."""

    lookUps = 0

    def __rshift__(self, shift: int) -> int:
        self.lookUps += 1
        return int(self) >> shift


class ParsingTests(SynchronousTestCase):
    """Networks as users write them."""

    def assertInvalid(self, text: str, expected: str) -> None:
        with self.assertRaises(ValueError) as caught:
            parseNetwork(text)
        self.assertIn(expected, str(caught.exception), text)

    def test_aNetworkHasAnAddressAndANumberOfBits(self) -> None:
        for text in ("198.51.100.0/24", "0.0.0.0/0", "2001:db8::/32", "::/0", "192.0.2.7/32"):
            self.assertEqual(parseNetwork(text), ip_network(text))

    def test_anAddressIsANetworkOfItsOwn(self) -> None:
        self.assertEqual(parseNetwork("192.0.2.7"), ip_network("192.0.2.7/32"))
        self.assertEqual(parseNetwork("2001:db8::1"), ip_network("2001:db8::1/128"))

    def test_mappedAddressesAreIPv4(self) -> None:
        self.assertEqual(parseNetwork("::ffff:192.0.2.0/120"), ip_network("192.0.2.0/24"))
        self.assertEqual(parseNetwork("::ffff:192.0.2.7"), ip_network("192.0.2.7"))
        self.assertEqual(parseNetwork("::/0"), ip_network("::/0"))

    def test_bitsBehindThePrefixAreAMistakeAndTheNetworkIsNamed(self) -> None:
        self.assertInvalid("192.0.2.7/24", "for the network write 192.0.2.0/24")
        self.assertInvalid("2001:db8::1/32", "for the network write 2001:db8::/32")

    def test_aPrefixThatIsTooLongIsAMistake(self) -> None:
        self.assertInvalid("192.0.2.0/33", "from 0 to 32")
        self.assertInvalid("2001:db8::/129", "from 0 to 128")

    def test_anythingElseIsAMistake(self) -> None:
        for text in (
            "",
            "/",
            "/24",
            "example.com",
            "192.0.2.0/",
            "192.0.2.0/255.255.255.0",
            "192.0.2/24",
            "1/-1",
            "()",
        ):
            self.assertInvalid(text, "such as")
        self.assertInvalid("fe80::1%eth0", "without a scope")

    @given(st.text())
    def test_noTextIsAFault(self, text: str) -> None:
        try:
            parseNetwork(text)
        except ValueError as e:
            self.assertTrue(str(e))

    @given(NETWORKS)
    def test_everyNetworkIsReadAsItIsWritten(self, network: Network) -> None:
        if "ffff:" not in str(network):
            self.assertEqual(parseNetwork(str(network)), network)


class FilterTests(SynchronousTestCase):
    """Who may visit."""

    def test_withoutRulesEverybody(self) -> None:
        self.assertFalse(AddressRules())
        self.assertTrue(AddressFilter(AddressRules()).allows("192.0.2.7"))

    def test_withDeniedNetworksTheOthers(self) -> None:
        allows = AddressFilter(rules(deny="192.0.2.0/24 2001:db8::/32")).allows
        self.assertFalse(allows("192.0.2.255"))
        self.assertFalse(allows("2001:db8:ffff::1"))
        self.assertTrue(allows("192.0.3.0"))
        self.assertTrue(allows("2001:db9::"))

    def test_withAllowedNetworksThoseOnly(self) -> None:
        allows = AddressFilter(rules(allow="192.0.2.0/24")).allows
        self.assertTrue(allows("192.0.2.0"))
        self.assertFalse(allows("192.0.3.0"))
        self.assertFalse(allows("2001:db8::1"))

    def test_aDeniedPartOfAnAllowedNetworkIsDenied(self) -> None:
        allows = AddressFilter(rules("192.0.2.0/24", "192.0.2.7")).allows
        self.assertTrue(allows("192.0.2.6"))
        self.assertFalse(allows("192.0.2.7"))

    def test_aScopeDoesNotMatter(self) -> None:
        self.assertFalse(AddressFilter(rules(deny="fe80::/10")).allows("fe80::1%eth0"))

    @given(LISTS, LISTS, ADDRESSES)
    def test_itDecidesAsAListWould(
        self, allow: tuple[Network, ...], deny: tuple[Network, ...], address: IPv4Address | IPv6Address
    ) -> None:
        expected = not any(address in each for each in deny) and (not allow or any(address in each for each in allow))
        self.assertEqual(AddressFilter(AddressRules(allow, deny)).allows(str(address)), expected)

    @given(LISTS, LISTS)
    def test_aRuleHasNoEffectIfADeniedNetworkContainsIt(
        self, allow: tuple[Network, ...], deny: tuple[Network, ...]
    ) -> None:
        useless = [
            a
            for a in allow
            if any(a.version == d.version and a.subnet_of(d) for d in deny)  # type: ignore[arg-type]
        ]
        self.assertEqual(uselessRule(AddressRules(allow, deny)), useless[0] if useless else None)


class CostTests(SynchronousTestCase):
    """What a look-up takes."""

    def test_tenThousandNetworksTakeAsManyStepsAsTheyHaveLengths(self) -> None:
        lengths = (24, 28, 32)
        several = [ip_network((ip_address((n << 12) + (1 << 28)), lengths[n % len(lengths)])) for n in range(10_000)]
        networks = Networks(several)
        for address, expected in ((several[1].network_address, True), (IPv4Address("203.0.113.9"), False)):
            counted = CountedAddress(int(address))
            self.assertEqual(networks.has(4, counted), expected)
            self.assertLessEqual(counted.lookUps, len(lengths))
            self.assertGreater(counted.lookUps, 0)
