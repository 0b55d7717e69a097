"""Hosts made of namespaces, and other things that tests need to be real without touching the machine."""
