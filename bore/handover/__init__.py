"""
A client that another process of the same program takes over, so that new code runs and no tunnel is interrupted.

The process that runs starts its successor, connected by a pair of Unix sockets, and passes it what belongs to its
tunnels. When the successor has them all, the process leaves them to it, and serves its visitors to their end. If the
successor fails, the process has its tunnels back. Only imported when that begins.
"""
