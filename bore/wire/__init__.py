"""
What the two ends say to each other: bytes and values only.

Nothing in here knows a socket, a reactor or a clock. Every function is total over its input: whatever a peer
sends comes out as a value or as a :class:`bore.wire.errors.WireError`.
"""
