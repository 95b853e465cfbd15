"""A self-hosted TCP tunnel: `bore` in Python and Twisted."""

__version__ = "0.1.0"
