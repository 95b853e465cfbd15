"""Which refusal a server's text or code stands for. Both are mapped here, and nowhere else."""

from __future__ import annotations

from typing import Final

from bore.wire.errors import (
    AccessWithdrawn,
    BindFailed,
    CertificateRefused,
    ClaimTimeout,
    ClusterAway,
    ClusterLost,
    ClusterRecovering,
    InvalidSecret,
    Kicked,
    KindNotKnown,
    NeedsTls,
    NoAnswer,
    NoFreePort,
    OpenTimeout,
    OverlongProof,
    PathNotAllowed,
    PortForbidden,
    PortInUse,
    PortNotAllowed,
    PresumedGone,
    ProofTimeout,
    ProxyHeader,
    ProxyHeaderExpected,
    Refusal,
    RightsExpired,
    RightWithdrawn,
    SecretMissing,
    ShuttingDown,
    SourceNotAllowed,
    SpeaksNoTls,
    TakenOver,
    TooManyGuesses,
    TooManyInSession,
    TooManyPending,
    TooManyTunnels,
    TooManyTunnelsFromSource,
    TooManyTunnelsOfUser,
    UnboundProof,
    UnreadableProof,
    VisitorsWithoutAddress,
)

#: Sent in either protocol.
_COMMON: Final = (
    PortNotAllowed,
    PortInUse,
    PortForbidden,
    BindFailed,
    NoFreePort,
    ShuttingDown,
    TooManyPending,
    TooManyTunnels,
    TooManyTunnelsFromSource,
    TooManyTunnelsOfUser,
    AccessWithdrawn,
    RightsExpired,
    RightWithdrawn,
    Kicked,
    SourceNotAllowed,
    ClaimTimeout,
    ClusterAway,
    ClusterRecovering,
    ClusterLost,
    CertificateRefused,
    NeedsTls,
    SpeaksNoTls,
)

#: Sent before the extension is agreed on, or where it is not spoken.
_BEFORE: Final = (
    InvalidSecret,
    SecretMissing,
    UnboundProof,
    UnreadableProof,
    OverlongProof,
    ProofTimeout,
    TooManyGuesses,
    ProxyHeader,
    ProxyHeaderExpected,
    PresumedGone,
)

#: Sent in the extension only.
_EXTENDED: Final = (
    NoAnswer,
    TakenOver,
    OpenTimeout,
    TooManyInSession,
    PathNotAllowed,
    KindNotKnown,
    VisitorsWithoutAddress,
)

#: The refusals that have a text of their own.
BY_TEXT: Final[dict[str, type[Refusal]]] = {kind.text: kind for kind in (*_COMMON, *_BEFORE)}

#: The refusals that have a code of their own.
BY_CODE: Final[dict[str, type[Refusal]]] = {kind.code: kind for kind in (*_COMMON, *_EXTENDED)}


def refusalFor(text: str) -> Refusal:
    """
    The refusal that the text of an Error frame stands for.

    :param text: the server's text; an unknown one gives a plain :class:`Refusal` that carries it.
    """
    return BY_TEXT.get(text, Refusal)(text)


def refusalForCode(code: str, text: str, retry: bool, range: tuple[int, int] | None = None) -> Refusal:
    """
    The refusal that a Refused message stands for.

    :param code: the server's code; an unknown one gives a plain :class:`Refusal` that carries it.
    :param text: the text for people.
    :param retry: whether the same request may be granted later.
    :param range: the lowest and the highest public port of the server; None: it has not sent them.
    """
    refusal = BY_CODE.get(code, Refusal)(text)
    refusal.code = code
    refusal.retry = retry
    refusal.range = range
    return refusal
