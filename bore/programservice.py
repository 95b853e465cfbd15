"""A program around which something happens when it starts, and when it reads its files again."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import IService, MultiService


class ProgramService(MultiService):
    """
    A program whose reload is another one.

    :param service: the program.
    :param reload: called for a reload, instead of the program's own.
    :param started: called when the program has started.
    """

    def __init__(
        self, service: IService, reload: Callable[[], object], started: Callable[[], object] = lambda: None
    ) -> None:
        MultiService.__init__(self)
        self._reload = reload
        self._started = started
        service.setServiceParent(self)

    def startService(self) -> None:
        """Start."""
        MultiService.startService(self)
        self._started()

    def reload(self) -> None:
        """Read all files again."""
        self._reload()
