"""Frames and detach keys."""

from __future__ import annotations

import pytest

from wherry.api.multiplex import DetachFilter, content_type, frame, parse_detach_keys
from wherry.errors import InvalidParameter


def test_frame_is_header_and_content() -> None:
    assert frame(2, b"abc") == b"\x02\x00\x00\x00\x00\x00\x00\x03abc"


def test_content_type_tells_the_form_to_clients_that_know_it() -> None:
    assert content_type((1, 42), tty=False).endswith("multiplexed-stream")
    assert content_type((1, 41), tty=False).endswith("raw-stream")
    assert content_type((1, 51), tty=True).endswith("raw-stream")


@pytest.mark.parametrize(
    ("text", "keys"), [("", b"\x10\x11"), ("ctrl-a,b", b"\x01b"), ("ctrl-@,ctrl-[", b"\x00\x1b"), ("ctrl-\\", b"\x1c")]
)
def test_detach_keys_are_read(text: str, keys: bytes) -> None:
    assert parse_detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "ab", "ctrl-a,,b"])
def test_malformed_detach_keys_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameter):
        parse_detach_keys(text)


def test_detach_keys_are_found_over_the_border_of_reads() -> None:
    keys = DetachFilter(b"\x10\x11")
    assert (keys.feed(b"ab\x10"), keys.detached) == (b"ab", False)
    assert (keys.feed(b"\x11cd"), keys.detached) == (b"", True)


def test_a_beginning_that_leads_nowhere_is_passed_on() -> None:
    keys = DetachFilter(b"\x10\x11")
    assert keys.feed(b"\x10\x10") + keys.feed(b"x\x11") == b"\x10\x10x\x11"
    assert not keys.detached
