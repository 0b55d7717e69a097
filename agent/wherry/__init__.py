"""Wherry: the container engine on a managed host."""

from pathlib import Path

__version__ = (Path(__file__).parent / "VERSION").read_text(encoding="ascii").strip()
