"""The log of single visitors, who come by the thousand."""

from __future__ import annotations

from typing import ClassVar

from twisted.logger import Logger


class VisitorLog(Logger):
    """
    A logger for events of level debug that are not even made when nobody reads them.

    Ask :attr:`wanted` before logging: to make an event costs as much as the rest of a visitor's bookkeeping.
    """

    wanted: ClassVar[bool] = False
