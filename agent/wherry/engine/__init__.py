"""Desired documents, what has to be done so that they hold (plan), and the doing (apply)."""
