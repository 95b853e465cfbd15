"""What parsers of first bytes return while these do not decide yet."""

from __future__ import annotations

from bore.wire.values import value


@value
class More:
    """
    The first bytes of a connection do not decide yet.

    :ivar count: how many more bytes are needed at least; 1 or more.
    """

    count: int
