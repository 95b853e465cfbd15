"""What passes between two processes of one client: of the one that has the tunnels, and of the one that gets them."""

from __future__ import annotations

from collections.abc import Sequence

from bore.client.estate import Estate, Inherited
from bore.client.reasons import NotMovable
from bore.client.service import ClientService


def inventoryOf(client: ClientService) -> list[Inherited]:
    """Return the tunnels that are up at a server, or were, as another process can have them."""
    up = {kept.tunnel: link.address for link in client.parts.links for kept in link.tunnels.up}
    return [
        Inherited(tunnel.spec.name, server, port.had, port.resume, up.get(tunnel) == server, tunnel.key)
        for tunnel in client.parts.tunnels
        for server, port in tunnel.ports.items()
        if port.had
    ]


def estateOf(client: ClientService) -> Estate:
    """
    Return all that another process needs to take the tunnels over.

    :raises bore.client.reasons.NotMovable: if it could not take them over.
    """
    if client.isChanging:
        raise NotMovable("other settings are being tried")
    links = client.parts.links
    for link in links:
        for kept in link.tunnels.up:
            if not link.extended:
                raise NotMovable(
                    f"{link.server} is an original server: no other process can have a port while this one has it"
                )
            if link.tunnels.portOf(kept).resume is None:
                raise NotMovable(f"{link.server} gives no tokens for its tunnels")
    at = next((link for link in links if link.tunnels.up), None)
    address, host = (None, "") if at is None else (at.address, at.host)
    return Estate(client.settings.user, client.settings.servers, address, tuple(inventoryOf(client)), host)


def inherit(client: ClientService, estate: Estate) -> None:
    """
    Have a client begin where another process is, and touch no file of it yet. To be called before the start.

    What belongs to another user, or to a server that is not used any more, is left.
    """
    settings = client.settings
    if estate.user != settings.user:
        client.holdFiles(None)
        return
    isThere = estate.servers == settings.servers or estate.at in settings.servers
    at = estate.at if isThere else None  # which is another one than those of the settings if these have sent us there
    client.holdFiles(at, estate.host)
    tunnels = {tunnel.spec.name: tunnel for tunnel in client.parts.tunnels}
    for each in estate.tunnels:
        if each.tunnel in tunnels and (each.server in settings.servers or each.server == at):
            tunnels[each.tunnel].publicPort(each.server).inherit(each.address, each.resume)
            tunnels[each.tunnel].key = each.key


def learn(client: ClientService, lent: Sequence[Inherited]) -> None:
    """Have a client know the tokens of the tunnels that another process has."""
    tunnels = {tunnel.spec.name: tunnel for tunnel in client.parts.tunnels}
    for each in lent:
        if each.tunnel in tunnels and each.server in tunnels[each.tunnel].ports:
            tunnels[each.tunnel].ports[each.server].opened(each.address, each.resume)


def isReady(client: ClientService, estate: Estate) -> bool:
    """Return whether a client has all tunnels that another process had, as far as they are still wanted."""
    own = {tunnel.spec.name for tunnel in client.parts.tunnels}
    had = {each.tunnel for each in estate.tunnels if each.up}
    wanted = (had & own or own) if had else set()
    return wanted <= {kept.tunnel.spec.name for link in client.parts.links for kept in link.tunnels.up}
