"""The OCI runtime configuration (config.json) of a container, built by subject; ``bundle.build`` puts it together."""
