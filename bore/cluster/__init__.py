"""
A server of many nodes, which share one range of public ports.

It is only imported where a server is a node of a cluster.
"""
