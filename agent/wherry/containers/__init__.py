"""Containers: what can be done to them, and how their OCI bundle is built."""
