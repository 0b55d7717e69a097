"""Prints the agent's dependencies, one a line, as agent/pyproject.toml declares them.

Without their markers: pip would read those by the Python that it runs under, not by the one that it downloads for.
"""

import re
from pathlib import Path

text = (Path(__file__).resolve().parent.parent / "agent" / "pyproject.toml").read_text(encoding="utf-8")
listed = re.search(r"^dependencies = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
if listed is None:
    raise SystemExit("agent/pyproject.toml: dependencies: not found")
print("\n".join(re.findall(r'"([^";]+)[^"]*"', listed.group(1))))
