"""Faults of a host's link, which the router makes without an error to either side."""

from __future__ import annotations

from laboratory.network import Lab
from tests.support import Program

#: Packets that may wait for the program that holds them back; more are lost.
_QUEUE = "20000"


def sever(lab: Lab, one: str, other: str, yes: bool = True) -> None:
    """Drop in silence what two hosts send to each other."""
    for sender, receiver in ((one, other), (other, one)):
        words = ("from", lab.address(sender), "to", lab.address(receiver), "blackhole")
        lab.ip("router", "rule", "add" if yes else "delete", "pref", "40", *words)


class Link:
    """
    The link of one host.

    :param lab: the network.
    :param place: the host.
    :ivar address: the host's address.
    """

    def __init__(self, lab: Lab, place: str) -> None:
        self._lab = lab
        self._place = place
        self.address = lab.address(place)
        self._gateway = self.address.rsplit(".", 1)[0] + ".1"
        self._impairment: Program | None = None

    def mute(self, yes: bool = True) -> None:
        """Drop in silence what comes from the host."""
        self._lab.set("router", f"net/ipv4/conf/{self._place}/forwarding", "0" if yes else "1")

    def deafen(self, yes: bool = True) -> None:
        """Drop in silence what goes to the host."""
        self._lab.ip("router", "route", "replace" if yes else "delete", "blackhole", f"{self.address}/32")

    def silence(self, yes: bool = True) -> None:
        """Drop in silence what goes either way."""
        self.mute(yes)
        self.deafen(yes)

    def move(self, address: str) -> None:
        """Give the host another address; to the old one, and from it, nothing gets through any more."""
        self._lab.ip("router", "route", "add", "blackhole", f"{self.address}/32")
        self._lab.ip(self._place, "address", "delete", f"{self.address}/24", "dev", "up0")
        self._lab.ip(self._place, "address", "add", f"{address}/24", "dev", "up0")
        self._lab.ip(self._place, "route", "replace", "default", "via", self._gateway)
        self.address = address

    def slow(self, rate: int, queue: int) -> None:
        """
        Make both directions slow, each with a queue; what does not fit is dropped. Called again, it changes the rate.

        :param rate: in bits per second.
        :param queue: in bytes.
        """
        words = ("dev", "root", "tbf", "rate", str(rate), "burst", "5000", "limit", str(queue))
        for place, device in (("router", self._place), (self._place, "up0")):
            self._lab.tc(place, "qdisc", "replace", words[0], device, *words[1:])

    def impair(self, delay: float, loss: float, *further: str) -> None:
        """
        Hold back, and lose, packets of both directions.

        Everything from and to the host is routed into a TUN device, and a program behind it lets it out again. What
        goes from one such host to another is held back once.

        :param delay: for each direction, in seconds.
        :param loss: how many packets are lost, of 1.
        :param further: addresses that the host has beside its first one.
        """
        tun, table = f"held-{self._place}"[:15], str(100 + self._lab.hosts.index(self._place))
        self._impairment = self._lab.python("router", "laboratory.impairment", tun, str(delay), str(loss))
        self._impairment.waitFor("ready")
        self._lab.ip("router", "link", "set", tun, "txqueuelen", _QUEUE, "up")
        self._lab.ip("router", "route", "add", "default", "dev", tun, "table", table)
        self._lab.ip("router", "rule", "add", "pref", "50", "iif", tun, "lookup", "main")
        self._lab.ip("router", "rule", "add", "pref", "60", "iif", self._place, "lookup", table)
        for address in {self.address, *further}:
            self._lab.ip("router", "rule", "add", "pref", "61", "to", address, "lookup", table)
