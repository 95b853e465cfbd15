"""What happens to a host's link, in the router. Nobody is told."""

from __future__ import annotations

from tests.lab.network import Lab
from tests.support import Program

_TUN = "held"
_TABLE = "100"


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
        self._forwarder: Program | None = None

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

    def impair(self, delay: float, loss: float) -> None:
        """
        Hold back, and lose, packets of both directions.

        Everything from and to the host is routed into a TUN device, and a program behind it lets it out again.

        :param delay: for each direction, in seconds.
        :param loss: how many packets are lost, of 1.
        """
        self._forwarder = self._lab.python("router", "tests.lab.forwarder", _TUN, str(delay), str(loss))
        self._forwarder.waitFor("ready")
        self._lab.ip("router", "link", "set", _TUN, "up")
        self._lab.ip("router", "route", "add", "default", "dev", _TUN, "table", _TABLE)
        self._lab.ip("router", "rule", "add", "pref", "50", "iif", _TUN, "lookup", "main")
        self._lab.ip("router", "rule", "add", "pref", "60", "iif", self._place, "lookup", _TABLE)
        self._lab.ip("router", "rule", "add", "pref", "61", "to", self.address, "lookup", _TABLE)
