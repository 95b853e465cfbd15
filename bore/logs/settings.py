"""What is logged, and in which form."""

from __future__ import annotations

from bore.wire.values import value


@value
class LogSettings:
    """
    The settings of the log.

    :ivar level: the lowest level that is logged: debug, info, warn or error.
    :ivar format: text or json.
    """

    level: str = "info"
    format: str = "text"

    @property
    def visitors(self) -> bool:
        """Whether single visitors are logged, which costs as much as serving them."""
        return self.level == "debug"
