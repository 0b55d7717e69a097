"""Names of images, exactly as Docker's reference grammar has them.

``busybox`` is ``docker.io/library/busybox:latest``; the short spelling is the *familiar* one and the long the
*normalised* one. Source: the grammar at the head of the distribution project's ``reference`` package.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from wherry.errors import InvalidParameter

DEFAULT_DOMAIN = "docker.io"
LEGACY_DEFAULT_DOMAIN = "index.docker.io"
OFFICIAL_PREFIX = "library/"
DEFAULT_TAG = "latest"
NAME_MAX = 255

_COMPONENT = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_COMPONENT}(?:\.{_COMPONENT})*|\[[a-fA-F0-9:]+\])"
_DOMAIN = re.compile(rf"{_HOST}(?::[0-9]+)?")
_PATH_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_IDENTIFIER = re.compile(r"[0-9a-f]{64}")
_SHORT_ID = re.compile(r"(?:sha256:)?[0-9a-f]{1,64}")


@dataclass(frozen=True)
class Reference:
    """A normalised image name: ``domain`` and ``path`` always, ``tag`` and ``digest`` where given."""

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @property
    def repository(self) -> str:
        """The full repository name: ``docker.io/library/busybox``."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_repository(self) -> str:
        """The short repository name that people see: ``busybox``."""
        if self.domain != DEFAULT_DOMAIN:
            return self.repository
        rest = self.path.removeprefix(OFFICIAL_PREFIX)
        return self.path if "/" in rest else rest

    @property
    def familiar(self) -> str:
        """The short name with tag and digest, as Docker prints it."""
        return self._with_suffix(self.familiar_repository)

    def __str__(self) -> str:
        return self._with_suffix(self.repository)

    def _with_suffix(self, name: str) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{name}{tag}{digest}"

    def with_default_tag(self) -> Reference:
        """The same name, tagged ``latest`` when it has neither tag nor digest."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)


def parse(text: str) -> Reference:
    """Reads an image name.

    Errors: ``InvalidParameter`` with Docker's wording, ``invalid reference format`` and its refinements.
    """
    if _IDENTIFIER.fullmatch(text):
        raise InvalidParameter(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    domain, remainder = _split_domain(text)
    path, tag, digest = _split_suffixes(remainder)
    if path != path.lower():
        raise InvalidParameter("invalid reference format: repository name must be lowercase")
    if not _DOMAIN.fullmatch(domain) or not _PATH.fullmatch(path):
        raise InvalidParameter("invalid reference format")
    if len(domain) + 1 + len(path) > NAME_MAX:
        raise InvalidParameter(f"repository name must not be more than {NAME_MAX} characters")
    return Reference(domain, path, tag, digest)


def _split_domain(text: str) -> tuple[str, str]:
    """The registry and the rest; what stands before the first slash is a registry only when it looks like a host."""
    head, slash, rest = text.partition("/")
    looks_like_host = any(sign in head for sign in ".:") or head == "localhost" or head != head.lower()
    domain, remainder = (head, rest) if slash and looks_like_host else (DEFAULT_DOMAIN, text)
    if domain == LEGACY_DEFAULT_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in remainder:
        remainder = OFFICIAL_PREFIX + remainder
    return domain, remainder


def _split_suffixes(remainder: str) -> tuple[str, str | None, str | None]:
    named, at, digest = remainder.partition("@")
    if at:
        check_digest(digest)
    path, colon, tag = named.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise InvalidParameter("invalid reference format")
    return path, tag if colon else None, digest if at else None


def check_digest(digest: str) -> str:
    """Returns ``digest`` when it is a sha256 digest; the store holds no other kind."""
    if not _DIGEST.fullmatch(digest):
        raise InvalidParameter("invalid reference format")
    if not digest.startswith("sha256:"):
        raise InvalidParameter(
            "unsupported digest algorithm", value=digest, allowed="only sha256 digests are supported"
        )
    if not _SHA256.fullmatch(digest):
        raise InvalidParameter(
            "invalid checksum digest length", value=digest, allowed="sha256: and 64 lower-case digits"
        )
    return digest


def is_digest(text: str) -> bool:
    """Whether ``text`` is a whole sha256 digest."""
    return _SHA256.fullmatch(text) is not None


def is_identifier(text: str) -> bool:
    """Whether ``text`` can be the beginning of an image ID, with or without ``sha256:``."""
    return _SHORT_ID.fullmatch(text) is not None


def valid_tag(tag: str) -> str:
    """Returns ``tag`` when the grammar allows it."""
    if not _TAG.fullmatch(tag):
        raise InvalidParameter("invalid reference format", field="tag", value=tag)
    return tag


def join(repository: str, tag_or_digest: str | None) -> Reference:
    """The reference that the pair of query parameters ``fromImage`` and ``tag`` means.

    The second one is a tag or a digest. A digest inside the first wins over it; a tag inside the first gives way.
    """
    reference = parse(repository)
    if not tag_or_digest or reference.digest:
        return reference
    if ":" in tag_or_digest:
        return replace(reference, tag=None, digest=check_digest(tag_or_digest))
    if not _TAG.fullmatch(tag_or_digest):
        raise InvalidParameter("invalid reference format")
    return replace(reference, tag=tag_or_digest)
