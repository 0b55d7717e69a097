"""The DNS server of containers in networks that a user has made, at 127.0.0.11 inside each of them.

It knows the names of the container's networks, and asks the servers of the host or of the container for the rest.
"""
