"""The processes of a server with workers."""
