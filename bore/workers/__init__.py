"""
A server of several processes: a supervisor, and the workers that own the sessions.

It is only imported where a server has workers.
"""
