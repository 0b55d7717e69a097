"""Image names are read as Docker reads them."""

from __future__ import annotations

import pytest

from wherry.errors import InvalidParameter
from wherry.images.reference import is_identifier, join, parse

DIGEST = "sha256:" + "0123456789abcdef" * 4

NAMES = [
    # given, normalised, familiar
    ("busybox", "docker.io/library/busybox", "busybox"),
    ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
    ("library/busybox", "docker.io/library/busybox", "busybox"),
    ("docker.io/busybox", "docker.io/library/busybox", "busybox"),
    ("index.docker.io/library/busybox", "docker.io/library/busybox", "busybox"),
    ("user/app", "docker.io/user/app", "user/app"),
    ("a/b/c/d", "docker.io/a/b/c/d", "a/b/c/d"),
    ("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"),
    ("localhost/app", "localhost/app", "localhost/app"),
    ("localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"),
    ("Host/app", "Host/app", "Host/app"),
    ("registry.test/app", "registry.test/app", "registry.test/app"),
    ("registry.test:443/a/b:t@" + DIGEST, "registry.test:443/a/b:t@" + DIGEST, "registry.test:443/a/b:t@" + DIGEST),
    ("[fd00::1]:5000/app", "[fd00::1]:5000/app", "[fd00::1]:5000/app"),
    ("127.0.0.1:5000/x", "127.0.0.1:5000/x", "127.0.0.1:5000/x"),
    ("app@" + DIGEST, "docker.io/library/app@" + DIGEST, "app@" + DIGEST),
    ("a__b/c--d/e.f-g", "docker.io/a__b/c--d/e.f-g", "a__b/c--d/e.f-g"),
    ("x:" + "t" * 128, "docker.io/library/x:" + "t" * 128, "x:" + "t" * 128),
    ("x:_under.score-1", "docker.io/library/x:_under.score-1", "x:_under.score-1"),
    ("abc123", "docker.io/library/abc123", "abc123"),
]


@pytest.mark.parametrize(("given", "normalised", "familiar"), NAMES)
def test_names_are_normalised_and_shortened(given: str, normalised: str, familiar: str) -> None:
    assert str(parse(given)) == normalised
    assert parse(given).familiar == familiar
    assert parse(normalised) == parse(given)
    assert parse(familiar) == parse(given)


@pytest.mark.parametrize(
    "given",
    ["", " ", "/", ":", "@", "x:", "x@", ":tag", "a//b", "/a", "a/", "a..b", "a._b", "a___b", "-a", "a-", "a.", ".a",
     "x:t:u", "x:" + "t" * 129, "x:-t", "x:t t", "x\n", "x\0", "x@sha256:short", "x@" + DIGEST + "0", "ü",
     "x@sha256:" + "G" * 64, "http://host/x", "host:port/x", "a b", "x:t@", "../x", "%2e", "[::1/x"],
)  # fmt: skip
def test_what_the_grammar_does_not_have_is_refused(given: str) -> None:
    with pytest.raises(InvalidParameter):
        parse(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("Busybox", "invalid reference format: repository name must be lowercase"),
        ("user/App:Tag", "invalid reference format: repository name must be lowercase"),
        ("a..b", "invalid reference format"),
        ("0" * 64, f"invalid repository name ({'0' * 64}), cannot specify 64-byte hexadecimal strings"),
        ("x/" * 127 + "xxxxxxxxxxxxxxx", "repository name must not be more than 255 characters"),
    ],
)
def test_refusals_have_dockers_words(given: str, message: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse(given)
    assert str(caught.value) == message


def test_other_digests_than_sha256_are_named() -> None:
    with pytest.raises(InvalidParameter, match="unsupported digest algorithm"):
        parse("x@sha512:" + "a" * 128)


@pytest.mark.parametrize(
    ("name", "tag", "expected"),
    [
        ("busybox", "1", "busybox:1"),
        ("busybox:2", "1", "busybox:1"),
        ("busybox", DIGEST, f"busybox@{DIGEST}"),
        (f"busybox@{DIGEST}", "1", f"busybox@{DIGEST}"),
        ("busybox", None, "busybox"),
    ],
)
def test_two_query_parameters_make_one_name(name: str, tag: str | None, expected: str) -> None:
    assert join(name, tag).familiar == expected


def test_only_hexadecimal_is_the_beginning_of_an_id() -> None:
    assert is_identifier("abc") and is_identifier("sha256:0") and is_identifier("f" * 64)
    assert not any(map(is_identifier, ("", "sha256:", "xyz", "ABC", "f" * 65)))
