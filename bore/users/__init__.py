"""
Users as values: who may connect to a server, how they prove who they are, and what they may do.

Nothing of this is imported by a server without a users file.
"""
