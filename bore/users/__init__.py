"""
Users as values: who may connect to a server, how they prove who they are, and what they may do.

A server without a users file imports :mod:`bore.users.ports` only.
"""
