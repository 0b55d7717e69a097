"""USER of an image or a request against hostile and honest user databases."""

from __future__ import annotations

import pytest

from wherry.containers.identity import Identity, resolve
from wherry.errors import InvalidParameter

PASSWD = (
    b"root:x:0:0:root:/root:/bin/sh\n# comment\n\napp:x:1000:1000::/home/app:/bin/sh\nbad:x:4294967296:0::/:/bin/sh\n"
    b"2000:x:0:0::/:/bin/sh\nshort:x\n"
)
GROUP = b"root:x:0:\nwheel:x:10:root,app\napp:x:1000:\nextra:x:2001:app\nhuge:x:99999999999:app\n"


def read(path: str) -> bytes:
    return {"/etc/passwd": PASSWD, "/etc/group": GROUP}[path]


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", Identity(0, 0, (0, 10), "/root")),
        ("root", Identity(0, 0, (0, 10), "/root")),
        ("0", Identity(0, 0, (0, 10), "/root")),
        ("app", Identity(1000, 1000, (1000, 10, 2001), "/home/app")),
        ("1000", Identity(1000, 1000, (1000, 10, 2001), "/home/app")),
        ("app:wheel", Identity(1000, 10, (10,), "/home/app")),
        ("1000:5", Identity(1000, 5, (5,), "/home/app")),
        ("4242", Identity(4242, 0, (0,), "/")),
        ("2147483647:2147483647", Identity(2147483647, 2147483647, (2147483647,), "/")),
    ],
)
def test_user_means_what_the_image_says(user: str, expected: Identity) -> None:
    assert resolve(user, (), read) == expected


@pytest.mark.parametrize(
    "user",
    ["4294967296", "2147483648", "-1", "+0", "0x0", " 0", "0 ", "99999999999", "1000:4294967296", "1000:", ":0",
     "1000:-1", "nobody", "app:nogroup", "bad", "\u0660", "1e3", "0\n"],
)  # fmt: skip
def test_user_that_is_no_number_and_no_name_is_an_error_and_never_root(user: str) -> None:
    with pytest.raises(InvalidParameter):
        resolve(user, (), read)


def test_a_number_is_never_read_as_a_name_that_maps_to_root() -> None:
    assert resolve("2000", (), read).uid == 2000


def test_added_groups_come_on_top_and_unknown_ones_are_refused() -> None:
    assert resolve("app:wheel", ("extra", "77"), read).groups == (10, 2001, 77)
    with pytest.raises(InvalidParameter, match="unable to find group absent"):
        resolve("app", ("absent",), read)


def test_an_image_without_databases_has_numbers_only() -> None:
    assert resolve("7", (), lambda _: b"") == Identity(7, 0, (0,), "/")
    assert resolve("", (), lambda _: b"") == Identity(0, 0, (0,), "/")
    with pytest.raises(InvalidParameter):
        resolve("root", (), lambda _: b"")
