"""
``bore doctor``: examines what a client needs, from the name of the server to a visit through a tunnel.

Only that command imports this package.
"""
