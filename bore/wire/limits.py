"""The numbers of the base protocol, each with its reason. Times are in seconds, sizes in bytes."""

from __future__ import annotations

from typing import Final

#: The control port of the original, which it cannot change.
CONTROL_PORT: Final = 7835

#: The longest frame, without its NUL: what the original's decoder takes.
MAX_FRAME: Final = 256

#: The longest frame of the extension, without its NUL.
MAX_EXTENDED_FRAME: Final = 4096

#: A connection to the control port that has not said Hello or Accept by then is closed.
FIRST_MESSAGE_TIMEOUT: Final = 3.0

#: How often the server says that it lives.
HEARTBEAT_INTERVAL: Final = 0.5

#: A client of the extension from which nothing has come during so many heartbeats is gone: four seconds of them.
MAX_UNANSWERED: Final = 8

#: An original client, which answers nothing, may be gone when its kernel has acknowledged nothing for so long: a lossy
#: link's retransmissions are over by then.
DOUBT_TIMEOUT: Final = 9.0

#: A control connection without any frame for so long is dead: sixteen heartbeats are missing.
SILENCE_TIMEOUT: Final = 8.0

#: A visitor that no client has accepted by then is dropped.
ACCEPT_TIMEOUT: Final = 10.0

#: How many random ports the server tries before it gives up.
PORT_TRIES: Final = 150

#: A server that has a secret sends its challenge unasked; one without waits, and closes after
#: FIRST_MESSAGE_TIMEOUT. A client with a secret that has heard nothing for so long asks which of the two it met.
CHALLENGE_PATIENCE: Final = 1.5
