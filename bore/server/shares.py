"""The custody of one process, as one of its holders sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred

from bore.server.asks import Ask
from bore.server.custody import Holder, Opened, Waiting, Wish
from bore.server.registry import Grant
from bore.server.users import User

if TYPE_CHECKING:

    class Whole(Protocol):
        """The custody of all holders. See :class:`~bore.server.custody.Custody`."""

        def open(self, wish: Wish, share: Share) -> Deferred[Opened]: ...

        def abandon(self, wish: Wish) -> None: ...

        def confirm(self, grant: Grant) -> None: ...

        def renew(self, grant: Grant) -> None: ...

        def release(self, grant: Grant) -> None: ...

        def limit(self, user: User, most: int) -> None: ...

        def forward(self, grant: Grant, visitor: Waiting) -> None: ...

        def leave(self, share: Share) -> None: ...


class Share:
    """
    See :class:`~bore.server.custody.Custody`.

    :ivar gone: the holder is gone.
    :ivar asks: what it was asked and has not answered.
    """

    holder: Holder

    def __init__(self, custody: Whole) -> None:
        self._custody = custody
        self.gone = False
        self.asks: set[Ask[Any]] = set()

    def open(self, wish: Wish) -> Deferred[Opened]:
        """See :meth:`~bore.server.custody.Custody.open`."""
        return self._custody.open(wish, self)

    def abandon(self, wish: Wish) -> None:
        """See :meth:`~bore.server.custody.Custody.abandon`."""
        self._custody.abandon(wish)

    def confirm(self, grant: Grant) -> None:
        """See :meth:`~bore.server.custody.Custody.confirm`."""
        self._custody.confirm(grant)

    def renew(self, grant: Grant) -> None:
        """See :meth:`~bore.server.custody.Custody.renew`."""
        self._custody.renew(grant)

    def release(self, grant: Grant) -> None:
        """See :meth:`~bore.server.custody.Custody.release`."""
        self._custody.release(grant)

    def limit(self, user: User, most: int) -> None:
        """See :meth:`~bore.server.custody.Custody.limit`."""
        self._custody.limit(user, most)

    def forward(self, grant: Grant, visitor: Waiting) -> None:
        """See :meth:`~bore.server.custody.Custody.forward`."""
        self._custody.forward(grant, visitor)

    def close(self) -> None:
        """See :meth:`~bore.server.custody.Custody.close`."""
        self._custody.leave(self)
