"""Hosts and ports as people write them."""

from __future__ import annotations

import socket

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.streams.addresses import (
    addressOn,
    asciiName,
    hostPort,
    isLiteral,
    literalAddress,
    parseHostPort,
    parsePort,
    peerAddress,
    socketAddress,
    sourceOf,
)


class HostPortTests(SynchronousTestCase):
    """Reading and writing hosts and ports."""

    def test_everyUsualFormIsParsed(self) -> None:
        for text, expected in {
            "example.com": ("example.com", None),
            "example.com:7000": ("example.com", 7000),
            "192.0.2.7": ("192.0.2.7", None),
            "192.0.2.7:1": ("192.0.2.7", 1),
            "::1": ("::1", None),
            "2001:db8::1": ("2001:db8::1", None),
            "[::1]": ("::1", None),
            "[2001:db8::1]:65535": ("2001:db8::1", 65535),
            "fe80::1%lo": ("fe80::1%lo", None),
            "my_host-2.local.": ("my_host-2.local.", None),
        }.items():
            self.assertEqual(parseHostPort(text), expected, text)

    def test_anErrorNamesTheTextInPlaceOfThePort(self) -> None:
        for text, port in (("tls:/host", "/host"), ("host:http", "http"), ("host:", ""), ("[::1]:0", "0")):
            with self.assertRaises(ValueError) as caught:
                parseHostPort(text)
            text = f"port {port!r} must be a number from 1 to 65535"
            self.assertEqual(str(caught.exception), text)

    def test_namesAreEncodedAsNameServersHaveThem(self) -> None:
        for text, expected in {
            "example.com": "example.com",
            "Example.COM": "Example.COM",
            "bore_server": "bore_server",
            "stack_bore-server.1": "stack_bore-server.1",
            "_b\u00fccher.test": "_b\u00fccher.test".encode("idna").decode(),
            "b\u00fccher.test": "xn--bcher-kva.test",
            "B\u00dcCHER.test": "xn--bcher-kva.test",
            "b\u00fccher\u3002bore_server": "xn--bcher-kva.bore_server",
            "stra\u00dfe.test.": "xn--strae-oqa.test.",
            "\u2603.test": "xn--n3h.test",
        }.items():
            self.assertEqual(asciiName(text), expected, text)
            self.assertEqual(parseHostPort(text), (text, None))
        for text in ("a..b", "", "x" * 64, "b\u00fc" * 30, "a.\u2026b", "\uff0f\u00fc", ".".join(["x" * 50] * 6)):
            self.assertRaises(ValueError, asciiName, text)

    @given(st.text(max_size=30))
    def test_anyNameIsEncodedInAsciiOrRefused(self, text: str) -> None:
        try:
            name = asciiName(text)
        except ValueError:
            return
        self.assertTrue(name.isascii() and not set(name) & set("/@,: \n\0"), ascii(name))
        self.assertEqual(asciiName(name), name)

    def test_everythingElseIsRefusedWithAHint(self) -> None:
        for text in (
            "", ":7835", "a b", "a:b", "a:0", "a:65536", "a:-1", "[::1", "::1]", "[::1]7835", "[::1]:", "[a]:1",
            "1:2:3", "a..b", "x" * 64, "http://example.com", "user@example.com", "a:1e3", "a:\u0661", "a\n", "a:", "[]",
        ):  # fmt: skip
            with self.assertRaises(ValueError) as caught:
                parseHostPort(text)
            self.assertIn("must be", str(caught.exception), text)

    @given(st.text(max_size=30))
    def test_anyTextIsParsedOrRefused(self, text: str) -> None:
        try:
            host, port = parseHostPort(text)
        except ValueError:
            return
        self.assertTrue(host)
        self.assertTrue(port is None or 1 <= port <= 65535)

    @given(st.ip_addresses().map(str), st.integers(1, 65535))
    def test_whatIsFormattedIsParsedBack(self, host: str, port: int) -> None:
        self.assertEqual(parseHostPort(hostPort(host, port)), (host, port))

    def test_portsAreInTheRequiredRange(self) -> None:
        self.assertEqual([parsePort("1"), parsePort("65535"), parsePort("0", lowest=0)], [1, 65535, 0])
        for text in ("0", "65536", "", " 1", "1.0", "+1", "1_000", "9" * 5000):
            self.assertRaises(ValueError, parsePort, text)

    def test_namesAreNotLiterals(self) -> None:
        self.assertEqual(
            [isLiteral(h) for h in ("::", "127.0.0.1", "localhost", "1.2.3", "")], [True, True, False, False, False]
        )

    def test_anIPv4AddressOfAnIPv6SocketIsFormattedAsIPv4(self) -> None:
        self.assertEqual(socketAddress(("::ffff:192.0.2.7", 80, 0, 0)), "192.0.2.7:80")
        self.assertEqual(socketAddress(("2001:db8::7", 80, 0, 0)), "[2001:db8::7]:80")

    def test_namesAreNeverLookedUpForALiteral(self) -> None:
        self.assertRaises(OSError, literalAddress, "localhost", 80)


class AnnouncedTests(SynchronousTestCase):
    """The address of a peer that another program tells."""

    def test_itHasAsManyPartsAsThoseOfTheSocketsFamily(self) -> None:
        lengths = {socket.AF_INET: 2, socket.AF_INET6: 4, socket.AF_UNIX: 3}
        for family, length in lengths.items():
            with socket.socket(family) as sock:
                for host in ("192.0.2.7", "2001:db8::7", "fe80::7%eth0"):
                    address = addressOn(sock, host, 80)
                    self.assertEqual((len(address), *address[:2]), (length, host, 80))
                    self.assertEqual(peerAddress(sock, socketAddress(address)), address)

    def test_aPeerWithoutAnAddressHasNone(self) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            self.assertEqual(peerAddress(sock, socketAddress(())), ())


class SourceTests(SynchronousTestCase):
    """The source of an address."""

    def test_anIPv4AddressIsItself(self) -> None:
        self.assertEqual(sourceOf(("192.0.2.7", 1)), "192.0.2.7")
        self.assertEqual(sourceOf(("::ffff:192.0.2.7", 1, 0, 0)), "192.0.2.7")

    def test_anIPv6AddressIsItsNetwork(self) -> None:
        for host in ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", "2001:db8:1:2:ffff::1"):
            self.assertEqual(sourceOf((host, 1, 0, 0)), "2001:db8:1:2::")
        self.assertEqual(sourceOf(("fe80::1%eth0", 1, 0, 2)), "fe80::")
        self.assertNotEqual(sourceOf(("2001:db8:1:3::", 1, 0, 0)), "2001:db8:1:2::")
