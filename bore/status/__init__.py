"""What a running program shows of itself to people and to other programs."""
