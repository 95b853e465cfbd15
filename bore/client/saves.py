"""Spreads the saving of public ports, when many tunnels are opened at once."""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bore.client.state import Memory, Remembered


class Saves:
    """
    Saves one tunnel in a turn of the reactor: each waits for the disk, some milliseconds.

    The first one of a turn is saved at once, the others in later turns.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: dict[Memory, Remembered] = {}
        self._turn: IDelayedCall | None = None

    def save(self, memory: Memory, tunnel: Remembered) -> None:
        """Save a tunnel now, or soon."""
        if self._turn is None:
            self._turn = self._clock.callLater(0, self._next)
            memory.save(tunnel)
        else:
            self._waiting[memory] = tunnel

    def finish(self, memory: Memory) -> None:
        """Save a tunnel that waits."""
        tunnel = self._waiting.pop(memory, None)
        if tunnel is not None:
            memory.save(tunnel)

    def drop(self, memory: Memory) -> None:
        """Do not save a tunnel that waits."""
        self._waiting.pop(memory, None)

    def _next(self) -> None:
        self._turn = None
        if self._waiting:
            self._turn = self._clock.callLater(0, self._next)
            self.finish(next(iter(self._waiting)))


class SpreadMemory:
    """Remembers a tunnel, and saves it when its turn comes."""

    def __init__(self, memory: Memory, saves: Saves) -> None:
        self._memory = memory
        self._saves = saves

    def load(self) -> Remembered | None:
        """See :class:`~bore.client.state.Memory`."""
        return self._memory.load()

    def save(self, tunnel: Remembered) -> None:
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
