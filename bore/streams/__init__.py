"""
Connected streams of bytes: how they come to be, and what their kernel socket is told.

This floor knows sockets and the reactor, and no message.
"""
