"""
The relay joins two connected streams, and forgets them.

It takes two sockets and the bytes that were already read from each, and nothing else: no message, no session. The
rest of the program knows :mod:`bore.relay.interface` alone; backends behind it differ in how they move the bytes.
"""
