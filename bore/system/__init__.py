"""The operating system, apart from sockets: files, limits, signals, clocks, and what systemd passes to a program."""
