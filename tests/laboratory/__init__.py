"""The laboratory, and the short form of its matrix."""
