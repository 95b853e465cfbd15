"""Which public address to ask a server for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from twisted.internet.interfaces import IReactorTime

from bore.client.state import Memory, Remembered
from bore.streams.addresses import hostPort
from bore.wire.errors import BindFailed, PortForbidden, PortInUse, PortNotAllowed, Refusal, TakenOver
from bore.wire.publicaddress import ANY_PORT, PublicAddress, satisfies

#: Seconds for which a client insists on the random port that it had while the server reports that it is in use: it may
#: be in use by our own lost session, which a server notices after about ten seconds.
INSIST: Final = 10.0


def publicText(host: str, address: PublicAddress) -> str:
    """
    Return a public address for people.

    :param host: the server.
    """
    return hostPort(host, address) if isinstance(address, int) else f"{address} on {host}"


class PublicPort:
    """
    The public address of a tunnel at one server; it lets the tunnel come back where it was.

    An address that the user wants is always requested. A port that the server chose is requested again, until the
    server refuses it.

    :param asked: the address that the user wants; 0: any port.
    :param memory: remembers the address beyond the end of the process.
    :param reserved: the addresses that the user wants for any tunnel of the client: one that the server chose before,
        or that the user no longer wants here, is not requested again if it is among these. It may change.
    :ivar asked: the address that the user wants.
    :ivar had: the address that we had last; 0: none.
    :ivar resume: the token of the tunnel that we had, or None.
    :ivar key: the lasting key of the tunnel, if the server is a node of a cluster; else None.
    """

    def __init__(
        self, clock: IReactorTime, asked: PublicAddress, memory: Memory, reserved: Collection[PublicAddress] = ()
    ) -> None:
        self._clock = clock
        self.asked = asked
        self._memory = memory
        self._reserved = reserved
        self.had: PublicAddress = ANY_PORT
        self._loaded = False
        self._refusedSince: float | None = None
        self.resume: str | None = None
        self.key: str | None = None

    @property
    def wanted(self) -> PublicAddress:
        """The address to request now; 0: any port."""
        mayReturn = satisfies(self.had, self.asked) and self.had not in self._reserved
        return self.asked or (self.had if mayReturn else ANY_PORT)

    @property
    def token(self) -> str | None:
        """
        The token for the request; None: there is none.

        One for an address that the user wants for another tunnel is not used with a request for any port: the server
        would give us that one. Its lease ends by itself.
        """
        return None if not self.asked and self.had in self._reserved else self.resume

    def recall(self) -> None:
        """Read what is remembered, unless that was read already, or there was a tunnel."""
        if self._loaded:
            return
        tunnel = self._memory.load()
        if tunnel is not None:
            self._loaded = True
            self.had = tunnel.address
            self.key = tunnel.key
            self.resume = tunnel.resume  # it frees the port that we had, even if another one is requested

    def succeed(self, former: PublicPort) -> None:
        """The tunnel comes from another server, which shares its tunnels with this one."""
        if former.had:
            self.inherit(former.had, former.resume)

    def inherit(self, address: PublicAddress, resume: str | None) -> None:
        """Another process has, or had, the tunnel at this address."""
        self._loaded = True
        self.had = address
        self.resume = resume
        self._refusedSince = None

    def move(self, memory: Memory) -> None:
        """The address belongs to another local service from now on, and is remembered in another place."""
        self._memory.forget()
        self._memory = memory
        if self.had:
            memory.save(Remembered(self.had, self.resume, self.key))

    def close(self) -> None:
        """Let another client use what remembers the address."""
        self._memory.close()

    def opened(self, address: PublicAddress, resume: str | None) -> None:
        """The tunnel is up at this address."""
        self._loaded = True
        self.had = address
        self.resume = resume
        self._refusedSince = None
        self._memory.save(Remembered(address, resume, self.key))

    def interrupted(self) -> None:
        """The server could not be asked, so the time for which it has refused the port is unknown again."""
        self._refusedSince = None

    def refused(self, refusal: Refusal) -> bool:
        """
        The server has refused.

        :returns: whether the port that we had was given up, so that another request makes sense at once.
        """
        if isinstance(refusal, TakenOver):
            self.resume = None  # with it we would take the tunnel back, and the other client would take it again
        if self.asked or not self.wanted:
            return False
        match refusal:
            case PortInUse():
                now = self._clock.seconds()
                if self._refusedSince is None:
                    self._refusedSince = now
                if now - self._refusedSince < INSIST:
                    return False
            case PortNotAllowed() | PortForbidden() | BindFailed():
                pass
            case _:
                return False
        self.had = ANY_PORT
        self.resume = None
        self._refusedSince = None
        return True
