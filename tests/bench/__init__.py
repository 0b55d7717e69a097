"""Measurements beside the peers, in one run; see ``python -m tests.bench --help``. They print figures and gate nothing."""
