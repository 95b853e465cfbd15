"""The options with rules on the addresses of visitors: those of a server, and those of a tunnel."""

from __future__ import annotations

from typing import Final

from bore.commandline import UsageError, Values
from bore.option import Option, repeated
from bore.options import values
from bore.wire.addressrules import AddressRules, uselessRule
from bore.wire.rulesmessage import MAX_NETWORKS

ALLOW: Final = repeated(
    "--allow",
    "Close visitors that are in no network given with --allow, such as 198.51.100.0/24",
    values.network,
    "NETWORK",
)
DENY: Final = repeated(
    "--deny", "Close visitors in this network, also if an --allow contains it", values.network, "NETWORK"
)

BOTH: Final[tuple[Option[object], ...]] = (ALLOW, DENY)


def serverRules(found: Values) -> AddressRules:
    """
    Return the rules for all tunnels of a server.

    :raises UsageError: if one has no effect.
    """
    rules = AddressRules(found[ALLOW], found[DENY])
    useless = uselessRule(rules)
    if useless is not None:
        allow, deny = found.name(ALLOW), found.name(DENY)
        raise UsageError(
            f"{allow}: {useless} has no effect, as a network in {deny} contains it, and {deny} takes precedence: "
            f"leave one of them out. With {allow}, visitors from all other networks are closed anyway"
        )
    return rules


def tunnelRules(found: Values) -> AddressRules:
    """
    Return the rules of a client's tunnel, which are sent to the server.

    :raises UsageError: if one has no effect, or if there are too many.
    """
    rules = serverRules(found)
    if len(rules) > MAX_NETWORKS:
        raise UsageError(
            f"{found.name(ALLOW)} and {found.name(DENY)} have {len(rules)} networks, and a tunnel may have "
            f"{MAX_NETWORKS}: longer lists belong to the server, as 'bore server --allow' and '--deny' for all tunnels"
        )
    return rules
