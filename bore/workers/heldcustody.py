"""Custody while it passes from one process to another: what the tunnels ask waits."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from bore.server.custody import Custody, Holder, Opened, Waiting, Wish
from bore.server.registry import Grant
from bore.server.users import User


class HeldCustody:
    """
    See :class:`~bore.server.custody.Custody`.

    What is asked waits for :meth:`goOn`, which has to follow within the time that sessions have for a tunnel
    (``CLAIM_TIMEOUT``): that bounds how much waits.
    """

    holder: Holder

    def __init__(self) -> None:
        self._asked: list[Callable[[Custody], object]] = []
        self._custody: Custody | None = None

    def goOn(self, custody: Custody) -> None:
        """Ask another custody, from now on, what was asked and will be."""
        self._custody = custody
        asked, self._asked = self._asked, []
        for each in asked:
            each(custody)

    def open(self, wish: Wish) -> Deferred[Opened]:
        """See :meth:`~bore.server.custody.Custody.open`."""
        answer: Deferred[Opened] = Deferred()
        self._ask(lambda custody: custody.open(wish).chainDeferred(answer))
        return answer

    def abandon(self, wish: Wish) -> None:
        """See :meth:`~bore.server.custody.Custody.abandon`."""
        self._ask(lambda custody: custody.abandon(wish))

    def confirm(self, grant: Grant) -> None:
        """See :meth:`~bore.server.custody.Custody.confirm`."""
        self._ask(lambda custody: custody.confirm(grant))

    def renew(self, grant: Grant) -> None:
        """See :meth:`~bore.server.custody.Custody.renew`."""
        self._ask(lambda custody: custody.renew(grant))

    def release(self, grant: Grant) -> None:
        """See :meth:`~bore.server.custody.Custody.release`."""
        self._ask(lambda custody: custody.release(grant))

    def limit(self, user: User, most: int) -> None:
        """See :meth:`~bore.server.custody.Custody.limit`."""
        self._ask(lambda custody: custody.limit(user, most))

    def forward(self, grant: Grant, visitor: Waiting) -> None:
        """See :meth:`~bore.server.custody.Custody.forward`."""
        self._ask(lambda custody: custody.forward(grant, visitor))

    def close(self) -> None:
        """See :meth:`~bore.server.custody.Custody.close`."""
        self._ask(lambda custody: custody.close())

    def _ask(self, question: Callable[[Custody], object]) -> None:
        if self._custody is None:
            self._asked.append(question)
        else:
            question(self._custody)
