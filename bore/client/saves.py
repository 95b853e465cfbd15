"""Spreads the saving of public ports, when many tunnels are opened at once."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bore.client.state import Memory, Remembered

#: The time in which tunnels that are closed at once are saved, in seconds.
_FINISH: Final = 0.5


class Saves:
    """
    Saves one tunnel in a turn of the reactor: each waits for the disk, some milliseconds.

    The first one of a turn is saved at once, the others in later turns.

    :ivar held: whether nothing is read or written yet: another process has the files.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: dict[Memory, Remembered] = {}
        self._turn: IDelayedCall | None = None
        self._spent = 0.0  # for tunnels that were closed, since the last turn
        self.held = False

    def save(self, memory: Memory, tunnel: Remembered) -> None:
        """Save a tunnel now, or soon."""
        if self._turn is None and not self.held:
            self._turn = self._clock.callLater(0, self._next)
            memory.save(tunnel)
        else:
            self._waiting[memory] = tunnel

    def finish(self, memory: Memory) -> None:
        """
        Save a tunnel that waits, as it is closed. A thousand of them at once take no more than _FINISH seconds.

        This does not wait for the disk: what a power failure could cost is a port that the server has chosen. Those
        for which there is no time stay as they were saved before, mostly with the same port; their tokens are void, as
        the ports are given back.
        """
        tunnel = self._waiting.pop(memory, None)
        if tunnel is not None and self._spent < _FINISH and not self.held:
            began = self._clock.seconds()
            memory.save(tunnel, lasting=False)
            self._spent += self._clock.seconds() - began

    def release(self) -> None:
        """The files are ours from now on: save what waits."""
        self.held = False
        if self._turn is None:
            self._next()

    def drop(self, memory: Memory) -> None:
        """Do not save a tunnel that waits."""
        self._waiting.pop(memory, None)

    def _next(self) -> None:
        self._turn = None
        self._spent = 0.0
        if self._waiting:
            self._turn = self._clock.callLater(0, self._next)
            memory = next(iter(self._waiting))
            memory.save(self._waiting.pop(memory))


class SpreadMemory:
    """Remembers a tunnel, and saves it when its turn comes."""

    def __init__(self, memory: Memory, saves: Saves) -> None:
        self._memory = memory
        self._saves = saves

    def load(self) -> Remembered | None:
        """See :class:`~bore.client.state.Memory`."""
        return None if self._saves.held else self._memory.load()

    def save(self, tunnel: Remembered, lasting: bool = True) -> None:
        """See :class:`~bore.client.state.Memory`."""
        self._saves.save(self._memory, tunnel)

    def forget(self) -> None:
        """See :class:`~bore.client.state.Memory`."""
        self._saves.drop(self._memory)
        self._memory.forget()

    def close(self) -> None:
        """See :class:`~bore.client.state.Memory`."""
        self._saves.finish(self._memory)
        self._memory.close()
