"""What a change of a client's settings costs."""

from __future__ import annotations

from dataclasses import fields
from enum import IntEnum
from typing import Final

from bore.client.settings import ClientSettings
from bore.tls.settings import ClientTls


class Effect(IntEnum):
    """What has to happen for a setting to be in effect; the greatest one of several counts."""

    NOTHING = 0
    IN_PLACE = 1  # links and their sessions go on
    OTHER_SERVERS = 2  # links at a server that is still among them go on
    NEW_LINKS = 3  # servers have to accept it


#: The effect of each setting that can change while the client runs.
EFFECTS: Final = {
    "servers": Effect.OTHER_SERVERS,
    "secret": Effect.NEW_LINKS,
    "user": Effect.NEW_LINKS,
    "reconnect": Effect.IN_PLACE,
    "maxReconnectDelay": Effect.IN_PLACE,
    "exitAfterFailures": Effect.IN_PLACE,
    "failFast": Effect.IN_PLACE,
    "checkEvery": Effect.IN_PLACE,
    "stateFolder": Effect.IN_PLACE,
    "halfOpenTimeout": Effect.IN_PLACE,
    "lanes": Effect.IN_PLACE,
    "nodes": Effect.IN_PLACE,
    "tls": Effect.NEW_LINKS,
}

#: Those that the process has and no file.
FIXED: Final = frozenset(("descriptors", "portableRelay"))


def effectOf(old: ClientSettings, new: ClientSettings) -> Effect:
    """Return what has to happen for other settings to be in effect."""
    names = [each.name for each in fields(ClientSettings) if each.name not in FIXED | {"tls"}]
    effects = [EFFECTS[name] for name in names if getattr(old, name) != getattr(new, name)]
    if isOtherTls(old.tls, new.tls):
        effects.append(EFFECTS["tls"])
    return max(effects, default=Effect.NOTHING)


def isOtherTls(old: ClientTls | None, new: ClientTls | None) -> bool:
    """Return whether TLS is used otherwise, be it because of the content of a file."""
    return _comparable(old) != _comparable(new)


def _comparable(tls: ClientTls | None) -> object:
    """Return what differs if TLS does: keys cannot be compared, but each belongs to its certificate."""
    if tls is None:
        return None
    chain = None if tls.credentials is None else tls.credentials.chain
    return tls.authorities, tls.fingerprint, chain, tls.knownServers, tls.pins, tls.lasting
