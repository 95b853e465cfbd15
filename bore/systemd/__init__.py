"""systemd: the units that travel with the program, and how they are installed."""
