"""
The protocol: messages, frames and session machines, as bytes and values.

Nothing here knows a socket, a reactor or a clock. Every function is total over its input: what a peer sends gives a
value or a :class:`bore.wire.errors.WireError`.
"""
