"""Which reactor of Twisted a program uses. Has to be decided before anything imports ``twisted.internet.reactor``."""

from __future__ import annotations

from typing import Final

from twisted.application.reactors import NoSuchReactor, getReactorTypes, installReactor

#: What is better than Twisted's own choice, where that is select(2), which watches 1024 descriptors at most. Beside the
#: names of the modules.
_BETTER: Final = (("kqueue", "kqreactor"), ("poll", "pollreactor"))


def install(name: str) -> None:
    """
    Use a reactor.

    :param name: as twistd has it: ``epoll``, ``poll``, ``kqueue``, ``select``, ``asyncio`` ...
    :raises ValueError: if there is none; the text says which there are.
    """
    try:
        installReactor(name)
    except (NoSuchReactor, ImportError):
        names = sorted(each.shortName for each in getReactorTypes())
        raise ValueError(f"there is no reactor {name!r} on this system; known: {', '.join(names)}") from None


def prefer() -> None:
    """Use a better reactor than Twisted would, where there is one: on macOS and the BSDs."""
    import importlib
    import select

    for call, module in _BETTER:
        if hasattr(select, call):
            importlib.import_module(f"twisted.internet.{module}").install()
            return
