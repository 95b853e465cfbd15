"""The log: text, JSON and syslog, and output that never blocks the reactor."""
