"""Every option of wherryd: its key in the file, its flag, its form, and what of dockerd's is refused and why."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

from wherry.config import AddressPool, RuntimeChoice, Ulimit
from wherry.errors import InvalidParameter

LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
LOG_DRIVERS = ("json-file", "local", "syslog", "journald", "none")
ULIMITS = (
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
    "rttime", "sigpending", "stack",
)  # fmt: skip
MOST_RUNTIME_ARGUMENTS = 32
_SIZE = re.compile(r"(\d+)\s*([kmgt]?)i?b?", re.IGNORECASE)
_HOST = re.compile(r"(unix|tcp|fd)://.*")


class _Wrong(Exception):
    """A value is not what the option takes; the arguments are the complaint and what is allowed."""


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise _Wrong("is not a boolean", "true or false")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _Wrong("is not a string", "a string")
    return value


def _path(value: object) -> Path:
    text = _text(value)
    if not text or "\0" in text:
        raise _Wrong("is not a path", "a path")
    # Not resolved: the instance's name is made of the path as it was given.
    return Path(os.path.normpath(Path(text).absolute()))


def _init_path(value: object) -> str:
    text = _text(value)
    if text and not text.startswith("/"):
        raise _Wrong("is not an absolute path", "the absolute path of a program, or nothing")
    return text


def _number(low: int, high: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _Wrong("is not a number in range", f"a number from {low} to {high}")
        return value

    return parse


def _choice(*allowed: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if value not in allowed:
            raise _Wrong("is not one of them", "one of " + ", ".join(allowed))
        return str(value)

    return parse


def _list(item: Callable[[object], Any]) -> Callable[[object], tuple[Any, ...]]:
    def parse(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _Wrong("is not a list", "a list")
        return tuple(item(entry) for entry in value)

    return parse


def _address(value: object) -> str:
    try:
        return str(ip_address(_text(value)))
    except ValueError:
        raise _Wrong("is not an IP address", "an IPv4 or IPv6 address") from None


def _interface_address(value: object) -> str:
    text = _text(value)
    try:
        parsed = ip_interface(text)
    except ValueError:
        raise _Wrong("is not an address with a prefix", "an address with its prefix length, as 10.5.0.1/16") from None
    if "/" not in text or parsed.network.network_address == parsed.ip:
        raise _Wrong("is not the address of a host", "the address of the bridge itself, as 10.5.0.1/16")
    return text


def _network(value: object) -> str:
    try:
        return str(ip_network(_text(value)))
    except ValueError:
        raise _Wrong("is not a network", "a network with its prefix length, as 10.5.1.0/24") from None


def _bridge(value: object) -> str:
    text = _text(value)
    if text and (len(text) > 15 or "/" in text or text.split() != [text]):
        raise _Wrong("is not an interface name", "the name of a bridge of this host, at most 15 characters, or none")
    return text


def _exec_option(value: object) -> str:
    if value not in ("native.cgroupdriver=cgroupfs", "native.cgroupdriver=systemd"):
        raise _Wrong("is not known", "native.cgroupdriver=cgroupfs or native.cgroupdriver=systemd")
    return str(value)


def _label(value: object) -> str:
    if "=" not in _text(value):
        raise _Wrong("is not a label", "key=value")
    return str(value)


def _host(value: object) -> str:
    text = _text(value)
    text = f"unix://{text}" if text.startswith("/") else text
    if not _HOST.fullmatch(text) or text == "unix://":
        raise _Wrong("is not an address to listen on", "unix:///path, fd://, or tcp://address:port")
    return text


def _url(value: object) -> str:
    text = _text(value)
    if not re.fullmatch(r"https?://[^/\s?#@]+(/[^\s?#]*)?", text):
        raise _Wrong("is not the URL of a mirror", "http://host[:port][/path] or https://…, without user name or query")
    return text.rstrip("/")


def _endpoint(value: object) -> str:
    host, colon, port = _text(value).rpartition(":")
    if not colon or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise _Wrong("is not an address with a port", "such as 0.0.0.0:5055 or [::]:5055")
    _address(host.strip("[]"))
    return str(value)


def _proxy(value: object) -> str:
    text = _text(value)
    if text and not re.fullmatch(r"((https?|socks5h?)://)?[^\s/?#]+/?", text):
        raise _Wrong("is not a proxy", "http://, https://, socks5:// or socks5h://[user:password@]host:port")
    return text


def _registry(value: object) -> str:
    text = _text(value)
    if not text or "://" in text or re.search(r"\s", text):
        raise _Wrong("is not a registry", "host, host:port or a network such as 10.0.0.0/8, without a scheme")
    return text


def _size(value: object) -> int:
    """Bytes, or a number with k, m, g or t, each 1024 times the one before."""
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if match is None:
        raise _Wrong("is not a size", "bytes, or a number with k, m, g or t")
    return int(match[1]) << (10 * " kmgt".index(match[2].lower() or " "))


def _positive_size(value: object) -> int:
    size = _size(value)
    if not size:
        raise _Wrong("is not a size", "at least one byte")
    return size


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise _Wrong("is not a mapping", "names with their values")
    return value


def _texts(value: object) -> Mapping[str, str]:
    return {name: _text(entry) for name, entry in _mapping(value).items()}


def _pool(value: object) -> AddressPool:
    entry = _mapping(value)
    if set(entry) != {"base", "size"}:
        raise _Wrong("is not an address pool", "base (a network) and size (a prefix length)")
    base = ip_network(_network(entry["base"]))
    return AddressPool(str(base), _number(base.prefixlen, base.max_prefixlen)(entry["size"]))


RUNTIME_TYPE = "io.containerd.runc.v2"
_RUNTIME_FORM = (
    "path (a program) and runtimeArgs (a list), or runtimeType io.containerd.runc.v2 with options.BinaryName (a path)"
)


def _runtimes(value: object) -> Mapping[str, RuntimeChoice]:
    return {name: _runtime(name, _mapping(entry)) for name, entry in _mapping(value).items()}


def _runtime(name: str, keys: Mapping[str, Any]) -> RuntimeChoice:
    """A program with arguments; or in the form of containerd's shims, of which that for OCI runtimes has a meaning."""
    wrong = _Wrong(f"runtime {name} is not described", _RUNTIME_FORM)
    if "runtimeType" in keys:
        options = _mapping(keys.get("options", {}))
        is_known = set(keys) <= {"runtimeType", "options"} and set(options) == {"BinaryName"}
        if not is_known or keys["runtimeType"] != RUNTIME_TYPE:
            raise wrong
        return RuntimeChoice(_text(options["BinaryName"]))
    arguments = keys.get("runtimeArgs", [])
    if "path" not in keys or set(keys) - {"path", "runtimeArgs"} or not isinstance(arguments, list):
        raise wrong
    if len(arguments) > MOST_RUNTIME_ARGUMENTS:
        raise _Wrong(f"runtime {name} has too many arguments", f"at most {MOST_RUNTIME_ARGUMENTS}")
    return RuntimeChoice(_text(keys["path"]), tuple(_text(argument) for argument in arguments))


def _ulimits(value: object) -> tuple[Ulimit, ...]:
    limits = []
    for name, entry in _mapping(value).items():
        keys = _mapping(entry)
        if name not in ULIMITS:
            raise _Wrong(f"{name} is not a limit", "one of " + ", ".join(ULIMITS))
        if {key.lower() for key in keys} - {"name", "soft", "hard"}:
            raise _Wrong(f"{name} has other keys", "Name, Soft and Hard")
        lower = {key.lower(): entry for key, entry in keys.items()}
        soft = _number(-1, 2**63 - 1)(lower.get("soft", lower.get("hard")))
        hard = _number(-1, 2**63 - 1)(lower.get("hard", soft))
        if hard != -1 and (soft == -1 or soft > hard):
            raise _Wrong(f"{name}: soft limit {soft} is above hard limit {hard}", "soft at most hard")
        limits.append(Ulimit(name, soft, hard))
    return tuple(limits)


def _pairs(values: list[str]) -> dict[str, object]:
    """``name=value`` flags in the form of the file."""
    pairs: dict[str, object] = {}
    for value in values:
        name, equals, rest = value.partition("=")
        if not equals:
            raise _Wrong(f'"{value}" has no "="', "name=value")
        pairs[name] = rest
    return pairs


def _pool_flags(values: list[str]) -> list[dict[str, object]]:
    pools = []
    for value in values:
        pool = _pairs(value.split(","))
        size = str(pool.get("size", ""))
        pools.append({**pool, "size": int(size) if size.isdecimal() else size})
    return pools


def _runtime_flags(values: list[str]) -> dict[str, object]:
    return {name: {"path": path} for name, path in _pairs(values).items()}


def _ulimit_flags(values: list[str]) -> dict[str, object]:
    limits: dict[str, object] = {}
    for name, text in _pairs(values).items():
        soft, colon, hard = str(text).partition(":")
        try:
            limits[name] = {"Soft": int(soft), "Hard": int(hard if colon else soft)}
        except ValueError:
            raise _Wrong(f'"{name}={text}" is not a limit', "name=soft[:hard]") from None
    return limits


def _same(values: list[str]) -> list[str]:
    return values


@dataclass(frozen=True)
class Option:
    """One option. ``flag`` is its long form on the command line, ``repeated`` brings its texts into the file's form."""

    key: str
    parse: Callable[[object], Any]
    help: str
    flag: str = ""
    short: str = ""
    repeated: Callable[[list[str]], object] | None = None
    reloadable: bool = False

    @property
    def field(self) -> str:
        """The field of Config."""
        return self.key.replace("-", "_")

    @property
    def long(self) -> str:
        """The flag with its dashes."""
        return "--" + (self.flag or self.key)

    @property
    def is_switch(self) -> bool:
        """Whether the flag may stand without a value."""
        return self.parse is _boolean

    @property
    def is_number(self) -> bool:
        """Whether a flag's text has to be read as a number."""
        return self.parse.__qualname__.startswith("_number")


OPTIONS = (
    Option("hosts", _list(_host), "address to serve the API on", flag="host", short="-H", repeated=_same),
    Option("group", _text, "group that may use the socket (default: wherry, where it exists)", short="-G"),
    Option("data-root", _path, "directory of what outlives a reboot"),
    Option("exec-root", _path, "directory of what does not"),
    Option("pidfile", _path, "pid file", short="-p"),
    Option("debug", _boolean, "log everything", short="-D", reloadable=True),
    Option("log-level", _choice(*LOG_LEVELS), "least level to log: " + ", ".join(LOG_LEVELS), short="-l"),
    Option("labels", _list(_label), "label of this host, key=value", flag="label", repeated=_same, reloadable=True),
    Option("shutdown-timeout", _number(0, 3600), "seconds that requests get to end when wherryd is told to",
           reloadable=True),
    Option("tls", _boolean, "TLS on tcp:// (only together with tlsverify)"),
    Option("tlsverify", _boolean, "TLS on tcp://, clients need a certificate"),
    Option("tlscacert", _path, "certificates that sign those of clients"),
    Option("tlscert", _path, "certificate of this host"),
    Option("tlskey", _path, "key of that certificate"),
    Option("bridge", _bridge, "bridge of this host to use by default, or none", short="-b"),
    Option("bip", _interface_address, "address and prefix of the default bridge"),
    Option("fixed-cidr", _network, "range of the default bridge's subnet that containers get"),
    Option("mtu", _number(68, 65535), "MTU of containers on the default bridge"),
    Option("default-address-pools", _list(_pool), "where networks take subnets from, base=…,size=…",
           flag="default-address-pool", repeated=_pool_flags),
    Option("icc", _boolean, "containers on the default bridge reach each other"),
    Option("ip", _address, "address that ports are published on by default"),
    Option("ip-forward", _boolean, "switch on forwarding"),
    Option("ip-masq", _boolean, "masquerade traffic that leaves the default bridge"),
    Option("dns", _list(_address), "name server of containers", repeated=_same),
    Option("dns-opts", _list(_text), "resolver option of containers", flag="dns-opt", repeated=_same),
    Option("dns-search", _list(_text), "search domain of containers", repeated=_same),
    Option("registry-mirrors", _list(_url), "mirror of Docker Hub", flag="registry-mirror", repeated=_same,
           reloadable=True),
    Option("insecure-registries", _list(_registry), "registry that may speak HTTP or show any certificate",
           flag="insecure-registry", repeated=_same, reloadable=True),
    Option("registry-hosts-dirs", _list(_path), "directory of hosts.toml files and certificates of registries, beside "
           "certs.d", flag="registry-hosts-dir", repeated=_same, reloadable=True),
    Option("registries-conf", _path, "registries.conf to read (default: the one beside the configuration file)",
           reloadable=True),
    Option("registry-auth-file", _path, "config.json with credentials of registries (default: Docker's, of the user)",
           reloadable=True),
    Option("max-concurrent-downloads", _number(1, 64), "layers of one pull downloaded at once", reloadable=True),
    Option("max-concurrent-uploads", _number(1, 64), "layers of one push sent at once", reloadable=True),
    Option("max-layer-size", _positive_size, "bytes that one layer may unpack to", reloadable=True),
    Option("max-layer-entries", _number(1, 2**32), "files that one layer may hold", reloadable=True),
    Option("max-download-attempts", _number(1, 100), "tries for each layer", reloadable=True),
    Option("serve", _boolean, "let other agents read the images of this one, over mutual TLS"),
    Option("serve-address", _endpoint, "address and port for that"),
    Option("serve-cacert", _path, "certificates that sign those of peers"),
    Option("serve-cert", _path, "certificate that is shown to peers, as server and as client"),
    Option("serve-key", _path, "key of that certificate"),
    Option("serve-clients", _list(_text), "name in the certificate of a peer that is served (default: every peer)",
           flag="serve-client", repeated=_same),
    Option("serve-rate", _size, "bytes a second that go to peers at most, 0 for no bound"),
    Option("serve-connections", _number(1, 4096), "connections of peers at a time"),
    Option("http-proxy", _proxy, "proxy for http:// registries", reloadable=True),
    Option("https-proxy", _proxy, "proxy for https:// registries", reloadable=True),
    Option("no-proxy", _text, "hosts that are reached directly, separated by commas", reloadable=True),
    Option("default-runtime", _text, "OCI runtime of containers that name none"),
    Option("runtimes", _runtimes, "further OCI runtime, name=path", flag="add-runtime", repeated=_runtime_flags),
    Option("default-ulimits", _ulimits, "limit of containers, name=soft[:hard]", flag="default-ulimit",
           repeated=_ulimit_flags),
    Option("default-shm-size", _size, "size of /dev/shm"),
    Option("log-driver", _choice(*LOG_DRIVERS), "log driver of containers: " + ", ".join(LOG_DRIVERS)),
    Option("log-opts", _texts, "option of the log driver, name=value", flag="log-opt", repeated=_pairs),
    Option("cgroup-parent", _text, "cgroup that containers' groups hang below"),
    Option("exec-opts", _list(_exec_option), "native.cgroupdriver=cgroupfs, or systemd: containers are scopes of it",
           flag="exec-opt", repeated=_same),
    Option("userns-remap", _text, "whose IDs of /etc/subuid and /etc/subgid containers have: default, or USER[:GROUP]"),
    Option("init", _boolean, "containers run below an init process, which reaps and passes signals on"),
    Option("init-path", _init_path, "that init process (default: wherry-init)"),
    Option("cdi-spec-dirs", _list(_path), "directory of CDI's files; of two the later one counts",
           flag="cdi-spec-dir", repeated=_same),
    Option("no-new-privileges", _boolean, "containers gain no privileges by set-user-ID programs"),
)  # fmt: skip
BY_KEY = {option.key: option for option in OPTIONS}
RELOADABLE = frozenset(option.field for option in OPTIONS if option.reloadable)


@dataclass(frozen=True)
class Fixed:
    """A key of dockerd that has one meaning here: these values state it, any other is refused with ``why``."""

    values: tuple[object, ...]
    why: str


FIXED: Mapping[str, Fixed] = {
    "storage-driver": Fixed(("overlay2", "overlay"), "overlay2: layers are stacked by overlayfs"),
    "live-restore": Fixed((True,), "true: containers always run on while wherryd is away"),
    "userland-proxy": Fixed((False,), "false: ports are published without proxy processes"),
    "iptables": Fixed((True,), "true: NAT and published ports are rules in Wherry's own nftables table"),
    "ip6tables": Fixed((True,), "true: one nftables table serves IPv4 and IPv6"),
    "firewall-backend": Fixed(("nftables",), "nftables"),
    "default-ipc-mode": Fixed(("private",), "private"),
    "default-cgroupns-mode": Fixed(("private",), "private"),
    "seccomp-profile": Fixed(("builtin", ""), "builtin, or a profile for each container by --security-opt"),
    "selinux-enabled": Fixed((False,), "false"),
    "experimental": Fixed((False,), "false"),
    "raw-logs": Fixed((False,), "false"),
    "log-format": Fixed(("text",), "text"),
    "rootless": Fixed((False,), "false: wherryd runs as root"),
    "features": Fixed(({}, {"cdi": True}), "no features but cdi, which is always there: nothing can be switched"),
    "ipv6": Fixed((False,), "false: the default bridge is IPv4; networks can have IPv6"),
}

# Keys that dockerd has and wherryd has no counterpart of.
REFUSED: Mapping[str, str] = {
    "allow-direct-routing": "direct routing to unpublished ports is always refused",
    "authorization-plugins": "access is by the socket's group or a client certificate",
    "bip6": "networks can have IPv6 subnets, the default bridge has none",
    "bridge-accept-fwmark": "write the exception into a table of your own",
    "builder": "images are not built here",
    "containerd": "no containerd is used",
    "containerd-namespace": "no containerd is used",
    "containerd-plugins-namespace": "no containerd is used",
    "cpu-rt-period": "real-time scheduling is set for each container",
    "cpu-rt-runtime": "real-time scheduling is set for each container",
    "cri-containerd": "no containerd is used",
    "default-gateway": "the gateway is the bridge itself, whose address bip sets",
    "default-gateway-v6": "networks can have IPv6 subnets, the default bridge has none",
    "default-network-opts": "options are given to each network",
    "fixed-cidr-v6": "networks can have IPv6 subnets, the default bridge has none",
    "host-gateway-ip": "the gateway of the default bridge is used",
    "host-gateway-ips": "the gateway of the default bridge is used",
    "ip-forward-no-drop": "forwarding policies of other tables are never changed",
    "metrics-addr": "no metrics are served",
    "network-control-plane-mtu": "there is no swarm",
    "network-diagnostic-port": "there is no swarm",
    "node-generic-resources": "there is no swarm",
    "storage-opts": "the storage driver has no options",
    "swarm-default-advertise-addr": "there is no swarm",
    "userland-proxy-path": "ports are published without proxy processes",
}


_PROXIES = ("http-proxy", "https-proxy", "no-proxy")


def parse_all(raw: Mapping[str, object]) -> dict[str, Any]:
    """Fields of Config from keys of the file; raises InvalidParameter naming key, value and what is allowed."""
    known = {*BY_KEY, *FIXED, *REFUSED, "proxies"}
    unknown = sorted(key for key in raw if key not in known)
    if unknown:
        raise InvalidParameter("the following directives don't match any configuration option: " + ", ".join(unknown))
    values = {}
    for key, value in _with_proxies(raw).items():
        if key in REFUSED:
            raise InvalidParameter("not supported by wherryd", field=key, value=value, allowed=REFUSED[key])
        if key in FIXED:
            if value not in FIXED[key].values:
                raise InvalidParameter("not supported by wherryd", field=key, value=value, allowed=FIXED[key].why)
            continue
        option = BY_KEY[key]
        try:
            values[option.field] = option.parse(value)
        except _Wrong as wrong:
            raise InvalidParameter(wrong.args[0], field=key, value=value, allowed=wrong.args[1]) from None
    return values


def _with_proxies(raw: Mapping[str, object]) -> Mapping[str, object]:
    """daemon.json has the proxies in a group of their own; the flags have not."""
    if "proxies" not in raw:
        return raw
    group = raw["proxies"]
    if not isinstance(group, dict) or not set(group) <= set(_PROXIES):
        raise InvalidParameter("is not a group of proxies", field="proxies", value=group, allowed=", ".join(_PROXIES))
    return {**{key: value for key, value in raw.items() if key != "proxies"}, **group}


def flag_value(option: Option, texts: list[str]) -> object:
    """The texts given to a flag, in the form that the file has."""
    if option.repeated is not None:
        try:
            return option.repeated(texts)
        except _Wrong as wrong:
            raise InvalidParameter(wrong.args[0], field=option.long, allowed=wrong.args[1]) from None
    text = texts[-1]
    if option.is_switch:
        return switch_value(option.long, text)
    if option.is_number:
        try:
            return int(text)
        except ValueError:
            return text
    return text


def switch_value(flag: str, text: str) -> bool:
    """The value of a boolean flag in the spellings that dockerd takes."""
    if text.lower() in {"true", "1", "t"}:
        return True
    if text.lower() in {"false", "0", "f"}:
        return False
    raise InvalidParameter("is not a boolean", field=flag, value=text, allowed="true or false")
