"""
Sockets: listening, dialling, transports, options and queries.

This layer knows sockets and the reactor, and no messages.
"""
