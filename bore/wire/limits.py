"""The limits of the protocol, each with its reason. Times are in seconds, sizes in bytes."""

from __future__ import annotations

from typing import Final

#: The original's control port. An original peer cannot use another one.
CONTROL_PORT: Final = 7835

#: The longest frame, without its NUL: the limit of the original's decoder.
MAX_FRAME: Final = 256

#: The longest frame of the extension, without its NUL.
MAX_EXTENDED_FRAME: Final = 4096

#: A connection to the control port is closed if no Hello or Accept has arrived on it by then.
FIRST_MESSAGE_TIMEOUT: Final = 3.0

#: The interval of the server's heartbeats.
HEARTBEAT_INTERVAL: Final = 0.5

#: Their interval in a session of the extension that has no visitors, and has had none for some time.
IDLE_HEARTBEAT_INTERVAL: Final = 3.0

#: The nodes of a cluster that a server may name.
MAX_NODES: Final = 64

#: The longest address of a node: the longest name of a host, a port and the scheme, in characters.
MAX_NODE_ADDRESS: Final = 265

#: The tunnels that a session may have or ask for at the same time: what the server keeps for a session is bounded.
MAX_TUNNELS: Final = 1024

#: Heartbeats are frequent while there are visitors, and for this long afterwards.
BUSY_TIME: Final = 10.0

#: A client of the extension with visitors, or that had some within BUSY_TIME, is lost if nothing arrived from it for
#: this long: eight heartbeats are not answered.
BUSY_SILENCE: Final = 4.0

#: A client of the extension without visitors is lost if nothing arrived from it for this long: three heartbeats are not
#: answered.
IDLE_SILENCE: Final = 10.0

#: An original client, which never answers, may be gone if its kernel has acknowledged nothing for this long. The
#: retransmissions of a lossy link are over by then.
DOUBT_TIMEOUT: Final = 9.0

#: A control connection is dead if no frame arrived for this long: two heartbeats are missing, and sixteen while there
#: are visitors.
SILENCE_TIMEOUT: Final = 8.0

#: The longest time within which a server may have a client come again whose session it gives away.
LONGEST_MOVE: Final = 10.0

#: A visitor is dropped if no client has accepted it by then.
ACCEPT_TIMEOUT: Final = 10.0

#: The number of random ports that the server tries before it gives up.
PORT_TRIES: Final = 150

#: A server with a secret sends its challenge first; one without a secret waits, and closes after
#: FIRST_MESSAGE_TIMEOUT. A client with a secret waits this long for the challenge, then asks which of the two it is.
CHALLENGE_PATIENCE: Final = 1.5
