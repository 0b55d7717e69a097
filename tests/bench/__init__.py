"""Measurements beside the peers, in one run (``python -m tests.bench``); they print figures and gate nothing."""
