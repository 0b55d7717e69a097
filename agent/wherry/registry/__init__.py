"""The OCI distribution protocol: how manifests and blobs are asked for, from whom, and with which credentials."""
