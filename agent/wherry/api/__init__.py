"""HTTP: the Docker Engine API and /wherry/v1 over unix sockets and mutual TLS. Knows nothing of the kernel."""
