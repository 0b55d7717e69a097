"""The document of an image: its name, and where it comes from when it is not there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from wherry.engine.documents import fields
from wherry.engine.documents.container import image_name
from wherry.errors import InvalidParameter
from wherry.images.platform import parse as parse_platform
from wherry.images.reference import is_digest, is_identifier, valid_tag
from wherry.images.reference import parse as parse_reference
from wherry.registry.proxies import KEYS, ProxySettings, parse_proxy_settings

SOURCES = ("pull", "load", "import", "local")
PULLS = ("always", "missing", "never", "newer")


@dataclass(frozen=True)
class ImageDocument:
    """An image as declared. ``name`` is in its familiar form with a tag, or an ID (for absence only)."""

    kind: ClassVar[str] = "image"

    name: str
    state: str = "present"
    source: str | None = None
    path: str = ""
    changes: tuple[str, ...] = ()
    platform: str = ""
    pull: str = "missing"
    digest: str = ""
    proxies: ProxySettings | None = None
    repository: str = ""
    force_source: bool = False
    force_tag: bool = False
    force_absent: bool = False

    @property
    def identity(self) -> str:
        """What two documents of one image have in common."""
        return self.name


def parse(resource: Mapping[str, Any]) -> ImageDocument:
    """Reads the options of an image; errors name option, value and what is allowed."""
    options = fields.Options(resource)
    tag = options.default("tag", _tag, "latest")
    platform, pull = options.default("pull", _pull, ("", ""))
    force_source = options.default("force_source", fields.flag, False)
    document = ImageDocument(
        name=named(options.required("name", image_name), tag),
        state=options.default("state", fields.choice("present", "absent"), "present"),
        source=options.get("source", fields.choice(*SOURCES)),
        path=options.default("path", fields.absolute_path, ""),
        changes=options.default("changes", fields.texts, ()),
        platform=options.default("platform", _platform, "") or platform,
        pull=pull or ("always" if force_source else "missing"),
        digest=options.default("digest", _digest, ""),
        proxies=options.get("proxies", _proxies),
        repository=options.default("repository", image_name, ""),
        force_source=force_source,
        force_tag=options.default("force_tag", fields.flag, False),
        force_absent=options.default("force_absent", fields.flag, False),
    )
    load_path = options.get("load_path", fields.absolute_path)
    options.finish()
    return _checked(document, load_path or "")


def named(text: str, tag: str) -> str:
    """A name with the tag that holds unless it brings tag or digest itself; an ID stays an ID."""
    if is_identifier(text) and text.startswith("sha256:"):
        return text
    reference = parse_reference(text)
    if not reference.tag and not reference.digest:
        reference = parse_reference(f"{text}@{tag}" if tag.startswith("sha256:") else f"{text}:{tag}")
    return reference.familiar


def _checked(document: ImageDocument, load_path: str) -> ImageDocument:
    """Options that need, or exclude, each other."""
    if load_path:
        if document.source != "load":
            raise InvalidParameter("is only for source load", field="load_path", value=load_path)
        document = replace(document, path=load_path)
    if document.state == "absent":
        return document
    if document.name.startswith("sha256:") and document.source != "local":
        raise InvalidParameter(
            "an ID can only be removed, or tagged with source local", field="name", value=document.name
        )
    if document.source is None:
        raise InvalidParameter("is required for state present", field="source", allowed=f"one of {', '.join(SOURCES)}")
    if document.source in {"load", "import"} and not document.path:
        option = "load_path" if document.source == "load" else "path"
        raise InvalidParameter(f"is required for source {document.source}", field=option)
    if document.path and document.source not in {"load", "import"}:
        raise InvalidParameter("is only for source load and import", field="path", value=document.path)
    if document.proxies and document.source != "pull":
        raise InvalidParameter("are only for source pull", field="proxies")
    if document.digest and document.source != "pull":
        raise InvalidParameter("is only for source pull", field="digest", value=document.digest)
    if document.digest and "@" in document.name and not document.name.endswith(f"@{document.digest}"):
        raise InvalidParameter("is another one than that of the name", field="digest", value=document.digest)
    if document.changes and document.source != "import":
        raise InvalidParameter("is only for source import", field="changes")
    return document


def _tag(value: Any, where: str) -> str:
    text = (
        str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else fields.filled(value, where)
    )
    if text.startswith("sha256:"):
        return text
    try:
        return valid_tag(text)
    except InvalidParameter:
        allowed = "letters, digits, _, . and -, at most 128"
        raise InvalidParameter("is not a tag", field=where, value=value, allowed=allowed) from None


def _platform(value: Any, where: str) -> str:
    try:
        parse_platform(fields.text(value, where))
    except InvalidParameter:
        allowed = "such as linux/amd64"
        raise InvalidParameter("is not a platform", field=where, value=value, allowed=allowed) from None
    return str(value)


def _proxies(value: Any, where: str) -> ProxySettings:
    options = fields.suboptions(value, where)
    given = {key: options.get(key.replace("-", "_"), fields.text) for key in KEYS}
    options.finish()
    return parse_proxy_settings({key: text for key, text in given.items() if text}, where)


def _digest(value: Any, where: str) -> str:
    text = fields.text(value, where)
    if not is_digest(text):
        raise InvalidParameter("is not a digest", field=where, value=value, allowed="sha256: and 64 lower-case digits")
    return text


def _pull(value: Any, where: str) -> tuple[str, str]:
    """Platform and policy, each empty where it is not said; a policy alone will do."""
    policy = fields.choice(*PULLS)
    if isinstance(value, str):
        return "", policy(value, where)
    options = fields.suboptions(value, where)
    found = options.default("platform", _platform, ""), options.default("policy", policy, "")
    options.finish()
    return found
