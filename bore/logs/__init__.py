"""Where log lines go: standard output that does not block, JSON, the system's log."""
