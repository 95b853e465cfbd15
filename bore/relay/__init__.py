"""
The relay joins two connected streams, and forgets them.

It takes two sockets and the bytes that were already read from each, and nothing else: no message, no session. The
rest of the program knows :mod:`bore.relay.face` alone; bodies behind it differ in how they move the bytes.
"""
