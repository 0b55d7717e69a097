"""The driver ``local``: directories below ``data-root/volumes``, and mounts onto them."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping

from wherry import native
from wherry.errors import InvalidParameter, SystemFailure
from wherry.volumes import directory, mounts
from wherry.volumes.model import Volume

_KNOWN = ("type", "o", "device", "size")
_NEEDS = {"device": ("type",), "type": ("device",), "o": ("device", "type")}
_NETWORK_TYPES = frozenset({"nfs", "nfs4", "cifs"})
_ADDRESS = re.compile(r"(?:^|,)addr=([^,]*)")
_PASSWORD = re.compile(r"(^|,)((?:password|pass)=)[^,]*")


class LocalDriver:
    """A directory; with ``type``, ``device`` and ``o`` what mount(2) puts there while containers use it."""

    def check_options(self, options: Mapping[str, str]) -> None:
        """Refuses options that the driver does not know, mounts that lack a part, and quotas."""
        for name in options:
            if name not in _KNOWN:
                raise InvalidParameter(f'invalid option: "{name}"', allowed=f"one of {', '.join(_KNOWN[:3])}")
        if "size" in options:
            raise InvalidParameter(
                "quota size requested but no quota support", allowed='volumes of the driver "loop" have a size'
            )
        for name, needed in _NEEDS.items():
            for other in needed:
                if name in options and other not in options:
                    raise InvalidParameter(f'missing required option: "{other}"')
        if options and not options["device"]:
            raise InvalidParameter("missing device in volume options")
        if mounts.parse(options.get("o", "")).is_bind and not options["device"].startswith("/"):
            raise InvalidParameter("must be an absolute path", field="device", value=options["device"])

    def canonical(self, options: Mapping[str, str]) -> Mapping[str, str]:
        """As they are: what they mean is the file system's affair."""
        return options

    def make(self, volume: Volume) -> None:
        """Its directory."""
        directory.make(volume)

    def remove(self, volume: Volume) -> None:
        """Its directory with all that is in it; what was mounted there is not touched."""
        directory.remove(volume)

    def mount(self, volume: Volume) -> None:
        """Mounts what the options say, unless it is mounted already."""
        directory.restore(volume)
        if not volume.options or mounts.is_mounted(volume.mountpoint):
            return
        kind, device, options = volume.options["type"], volume.options["device"], volume.options.get("o", "")
        try:
            if kind in _NETWORK_TYPES:
                options = _with_address(device, options)
            _mount(device, volume.mountpoint, kind, mounts.parse(options))
        except SystemFailure as error:
            raise SystemFailure(
                f"error while mounting volume '{volume.mountpoint}': failed to mount local volume: {error}"
            ) from error

    def unmount(self, volume: Volume) -> None:
        """Takes the mount away."""
        if volume.options and mounts.is_mounted(volume.mountpoint):
            try:
                native.unmount(volume.mountpoint)
            except native.NativeError as error:
                raise SystemFailure(
                    f"error while unmounting volume '{volume.mountpoint}': {mounts.said(error)}"
                ) from error

    def grow(self, volume: Volume, before: Volume) -> None:
        """There is nothing to grow."""
        raise InvalidParameter('a volume of the driver "local" has no size', field="size")

    def size_of(self, volume: Volume) -> int:
        """What is in the directory; nothing where the content lies elsewhere."""
        return 0 if volume.options else directory.size_of(volume.mountpoint)

    def status(self, volume: Volume) -> Mapping[str, object]:
        """Nothing beside what everybody sees."""
        return {}


def _mount(device: str, target: str, kind: str, options: mounts.Options) -> None:
    try:
        mounts.mount(device, target, kind, options)
    except native.NativeError as error:
        shown = f"mount {device}:{target}"
        shown += f", flags: {options.flags:#x}" if options.flags else ""
        data = _PASSWORD.sub(r"\1\2********", options.data)
        shown += f", data: {data}" if data else ""
        hint = ""
        if mounts.lacks_file_system(error, kind):
            hint = f' (this kernel has no file system "{kind}", and no module of that name could be loaded)'
        raise SystemFailure(f"{shown}: {mounts.said(error)}{hint}") from error


def _with_address(device: str, options: str) -> str:
    """The options with ``addr=`` as a number: the kernel resolves no names (nfs(5)).

    An address that nobody gave is that of the device's host (``host:/path``, ``//host/share``).
    """
    found = _ADDRESS.search(options)
    if found:
        start, end = found.span(1)
        return options[:start] + _resolved(found[1]) + options[end:]
    share = device.startswith("//")
    host = device[2:].partition("/")[0] if share else device.rpartition(":/")[0].strip("[]")
    return ",".join(filter(None, (options, f"addr={_resolved(host)}" if host else "")))


def _resolved(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError) as error:
        raise SystemFailure(f"error resolving passed in network volume address: {host}: {error}") from error
