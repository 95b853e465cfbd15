"""Everything TLS: sockets, certificates, and whom to trust. Only the modules in here load OpenSSL."""
