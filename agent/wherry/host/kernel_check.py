"""What this host's kernel, or one whose configuration is given, offers to containers: looked at, demanded, shown."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from wherry import native
from wherry.errors import InvalidParameter
from wherry.native import KernelFinding as Finding
from wherry.native import KernelReport

__all__ = ["Finding", "KernelReport", "check", "lacking", "render", "to_json"]

PRESENT = frozenset({"built-in", "module", "ok"})
"""States in which what a finding stands for can be used."""
ABSENT = frozenset({"missing", "failed"})
"""States in which it cannot."""

_COLORS = {"built-in": "32", "module": "32", "ok": "32", "module-not-loaded": "33", "unknown": "33"}
_RED = "31"
_BOLD = "1"


def check(config_file: str | Path | None = None, kernel_version: str | None = None) -> KernelReport:
    """Looks at the running kernel and probes the system; with a configuration of another kernel at that alone.

    Blocks for some hundredths of a second. Raises NativeError for a file that is no kernel configuration.
    """
    return native.kernel_check(config_file, kernel_version)


def lacking(report: KernelReport, names: Iterable[str] = ()) -> tuple[Finding, ...]:
    """The findings that are required, by the table or by name, and are not there.

    What every container needs is lacking when it is missing or failed: a module that is not loaded the kernel loads
    when it is needed, and what cannot be told is not held against it. What is demanded by name has to be usable now.
    A name is that of a finding, the same without ``CONFIG_``, or the module's that provides it; one that stands for no
    finding raises InvalidParameter.
    """
    demanded: set[str] = set()
    for name in names:
        found = {finding.name for finding in report.findings if name in _names(finding)}
        if not found:
            allowed = "known are " + ", ".join(finding.name for finding in report.findings)
            raise InvalidParameter("no such finding", field="required", value=name, allowed=allowed)
        demanded |= found
    return tuple(
        one
        for one in report.findings
        if (one.required and one.state in ABSENT) or (one.name in demanded and one.state not in PRESENT)
    )


def _names(finding: Finding) -> set[str]:
    return {finding.name, finding.name.removeprefix("CONFIG_"), *([finding.module] if finding.module else [])}


def render(report: KernelReport, color: bool) -> str:
    """The report for people: by group, each finding with its state, and where it is not to be used why that matters."""
    source = report.config or "no configuration found"
    lines = [f"kernel {report.release} ({source}{'' if report.live else '; the running system was not probed'})"]
    # The order of the groups is that of their first findings: probes stand with the options that they prove.
    order = {group: position for position, group in enumerate(dict.fromkeys(one.group for one in report.findings))}
    findings = sorted(report.findings, key=lambda one: order[one.group])
    for group, members in groupby(findings, key=lambda one: one.group):
        lines += ["", _paint(group, _BOLD, color)]
        for finding in members:
            lines += _lines(finding, color)
    return "\n".join(lines) + "\n"


def _lines(finding: Finding, color: bool) -> list[str]:
    state = f"{finding.state:<17}"
    line = f"  {_paint(state, _COLORS.get(finding.state, _RED), color)} {finding.name}"
    if finding.state in PRESENT:
        return [line]
    need = "needed" if finding.required else "optional"
    return [line, f"{'':20}{need} for: {finding.breaks}", f"{'':20}to get it: {finding.remedy}"]


def _paint(text: str, code: str, color: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if color else text


def to_json(report: KernelReport) -> str:
    """The report as one JSON object: release, config, live, findings."""
    return json.dumps(asdict(report))
