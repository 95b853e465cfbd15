"""The operating system, apart from sockets: files, descriptors, signals, clocks, and what systemd passes on."""
