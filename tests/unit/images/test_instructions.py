"""Dockerfile instructions change a configuration as Docker's own reader would."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.errors import InvalidParameter
from wherry.images.instructions import apply_changes


@pytest.mark.parametrize(
    ("line", "key", "expected"),
    [
        ('CMD ["a", "b"]', "Cmd", ["a", "b"]),
        ("CMD a b", "Cmd", ["/bin/sh", "-c", "a b"]),
        ("cmd [not json", "Cmd", ["/bin/sh", "-c", "[not json"]),
        ("ENV A=1 B=2", "Env", ["A=1", "B=2"]),
        ("ENV A the rest", "Env", ["A=the rest"]),
        ("ENV A='x y' B=\"q\\\"z\" C=a\\ b", "Env", ["A=x y", 'B=q"z', "C=a b"]),
        ("LABEL a=b c", None, None),
        ("LABEL a= b='c d'", "Labels", {"a": "", "b": "c d"}),
        ("EXPOSE 80 53/udp 8000-8002", "ExposedPorts",
         {"80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}, "8002/tcp": {}}),
        ("EXPOSE 0", None, None),
        ("EXPOSE 80/icmp", None, None),
        ("WORKDIR srv/../www", "WorkingDir", "/www"),
        ('VOLUME ["/a b"]', "Volumes", {"/a b": {}}),
        ("HEALTHCHECK NONE", "Healthcheck", {"Test": ["NONE"]}),
        ("HEALTHCHECK --timeout=1m30s CMD x", "Healthcheck", {"Test": ["CMD-SHELL", "x"], "Timeout": 90 * 10**9}),
        ("HEALTHCHECK --speed=1s CMD x", None, None),
        ("ONBUILD FROM x", None, None),
        ("SHELL bash", None, None),
        ("ENV A='x", None, None),
        ("COPY a b", None, None),
        ("USER", None, None),
    ],
)  # fmt: skip
def test_instruction(line: str, key: str | None, expected: Any) -> None:
    if key is None:
        with pytest.raises(InvalidParameter, match=r"changes\[0\]"):
            apply_changes({}, [line])
    else:
        assert apply_changes({}, [line])[key] == expected


@pytest.mark.parametrize(
    ("line", "key", "expected"),
    [
        ("ENV P=/bin:$HOME Q='$HOME' R=\"${HOME}/x\" S=\\$HOME", "Env",
         ["HOME=/root", "P=/bin:/root", "Q=$HOME", "R=/root/x", "S=$HOME"]),
        ("ENV D=${NONE:-a} E=${HOME:+b} F=${NONE:+c}G", "Env", ["HOME=/root", "D=a", "E=b", "F=G"]),
        ("ENV HOME=$HOME/x", "Env", ["HOME=/root/x"]),
        ("LABEL at=$HOME", "Labels", {"at": "/root"}),
        ("WORKDIR $HOME/below", "WorkingDir", "/root/below"),
        ("CMD $HOME", "Cmd", ["/bin/sh", "-c", "$HOME"]),
    ],
)  # fmt: skip
def test_instructions_name_variables(line: str, key: str, expected: Any) -> None:
    assert apply_changes({"Env": ["HOME=/root"]}, [line])[key] == expected


def test_later_instructions_see_earlier_ones() -> None:
    made = apply_changes({"Env": ["A=1"]}, ["ENV A=2", 'SHELL ["/bin/ash", "-c"]', "CMD x", "WORKDIR /a", "WORKDIR b"])
    assert made["Env"] == ["A=2"]
    assert made["Cmd"] == ["/bin/ash", "-c", "x"]
    assert made["WorkingDir"] == "/a/b"
