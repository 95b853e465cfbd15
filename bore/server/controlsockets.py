"""The listening sockets of control ports."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Sequence
from typing import TypeAlias

from bore.events.server import Admission, Listening
from bore.server.settings import ServerSettings
from bore.streams.addresses import hostPort, localAddress, socketAddress
from bore.streams.listener import bindSocket

#: Makes a listening socket for an option such as ``control-port``, with an IP address and a port; or raises an OSError.
BindControl: TypeAlias = Callable[[str, str, int], socket.socket]


class CannotListen(Exception):
    """A control port, or its certificate, cannot be used."""


def bindNew(option: str, host: str, port: int) -> socket.socket:
    """Make a listening socket; raises an OSError if the system refuses."""
    return bindSocket(host, port)


def bindControlPorts(
    settings: ServerSettings, sockets: Sequence[socket.socket], bind: BindControl = bindNew
) -> list[tuple[socket.socket, bool]]:
    """
    Make the listening sockets of the control ports.

    :param sockets: listening sockets to use, instead of one made from the settings.
    :param bind: makes each one from the settings.
    :returns: the sockets, and whether each speaks TLS; first those of the control port.
    :raises CannotListen: when a port cannot be used.
    """
    tls = settings.tls
    bound = list(sockets) or [_bind(bind, "control-port", settings.bindAddr, settings.controlPort)]
    found = [(sock, tls is not None and tls.port is None) for sock in bound]
    if tls is not None and tls.port is not None:
        try:
            found.append((_bind(bind, "tls-port", settings.bindAddr, tls.port), True))
        except CannotListen:
            for sock in bound:
                sock.close()
            raise
    return found


def listening(
    sock: socket.socket, fingerprint: str | None, settings: ServerSettings, admission: Admission
) -> Listening:
    """
    Return the event that a control port has begun to listen.

    :param fingerprint: of the key that it shows in TLS; None: it speaks no TLS.
    """
    at = socketAddress(localAddress(sock))
    return Listening(at, fingerprint, settings.bindTunnels, settings.minPort, settings.maxPort, admission)


def admissionOf(settings: ServerSettings, hasUsers: bool, asks: bool) -> Admission:
    """
    Return which clients may open tunnels.

    :param hasUsers: whether there is a users file.
    :param asks: whether clients have to prove who they are.
    """
    if hasUsers:
        return Admission.USERS if settings.secret is None else Admission.USERS_AND_SECRET
    if asks:
        return Admission.SECRET
    if settings.tls is not None and settings.tls.clients is not None:
        return Admission.CERTIFICATE
    return Admission.ANYONE


def _bind(bind: BindControl, option: str, host: str, port: int) -> socket.socket:
    try:
        return bind(option, host, port)
    except OSError as e:
        reason = os.strerror(e.errno) if e.errno and e.errno > 0 else str(e)
        hint = _hint(e.errno, port, option)
        raise CannotListen(f"cannot listen on {hostPort(host, port)}: {reason}{hint}") from e


def _hint(number: int | None, port: int, option: str) -> str:
    """What would be right where a port cannot be used."""
    match number:
        case errno.EADDRINUSE:
            from bore.system.portowner import ownerOf

            owner = ownerOf(port)
            return f"{f' by {owner}' if owner else ''}: stop that program, or choose another port with --{option}"
        case errno.EACCES:
            return f": choose a port from 1024 on with --{option}, or give the program CAP_NET_BIND_SERVICE"
        case errno.EADDRNOTAVAIL:
            return ": give an address of this machine with --bind-addr"
    return ""
