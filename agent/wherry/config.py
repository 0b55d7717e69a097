"""wherryd's configuration: dockerd's options from the command line and from a file, parsed once into a frozen record.

The file is YAML with the keys of dockerd's ``daemon.json``; JSON is YAML, so an existing ``daemon.json`` is valid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from wherry.errors import InvalidParameter
from wherry.paths import Paths

DEFAULT_CONFIG_FILE = Path("/etc/wherry/wherryd.yml")
DEFAULT_GROUP = "wherry"


@dataclass(frozen=True)
class AddressPool:
    """Networks without a subnet of their own take one of ``size`` prefix bits out of ``base``."""

    base: str
    size: int


@dataclass(frozen=True)
class RuntimeChoice:
    """An OCI runtime that containers may name: its program and the arguments that stand before the verb."""

    path: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ulimit:
    """A resource limit; -1 is unlimited."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True)
class Config:
    """All of it, with defaults. Field names are the file's keys with underscores; config_options.py describes each."""

    config_file: Path = DEFAULT_CONFIG_FILE
    hosts: tuple[str, ...] = ()
    group: str | None = None
    data_root: Path = Path("/var/lib/wherry")
    exec_root: Path = Path("/run/wherry")
    pidfile: Path | None = None
    debug: bool = False
    log_level: str = "info"
    labels: tuple[str, ...] = ()
    shutdown_timeout: int = 15

    tls: bool = False
    tlsverify: bool = False
    tlscacert: Path | None = None
    tlscert: Path | None = None
    tlskey: Path | None = None

    bridge: str = ""
    bip: str = ""
    fixed_cidr: str = ""
    mtu: int = 1500
    default_address_pools: tuple[AddressPool, ...] = ()
    icc: bool = True
    ip: str = "0.0.0.0"
    ip_forward: bool = True
    ip_masq: bool = True
    dns: tuple[str, ...] = ()
    dns_opts: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()

    registry_mirrors: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    max_concurrent_downloads: int = 3
    max_concurrent_uploads: int = 5
    max_download_attempts: int = 5
    max_layer_size: int = 64 * 1024**3
    max_layer_entries: int = 4_000_000
    registry_hosts_dirs: tuple[Path, ...] = ()
    registries_conf: Path | None = None
    registry_auth_file: Path | None = None
    serve: bool = False
    serve_address: str = "0.0.0.0:5055"
    serve_cacert: Path | None = None
    serve_cert: Path | None = None
    serve_key: Path | None = None
    serve_clients: tuple[str, ...] = ()
    serve_rate: int = 0
    serve_connections: int = 64
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""

    default_runtime: str = "wherry-runtime"
    runtimes: Mapping[str, RuntimeChoice] = field(default_factory=dict)
    default_ulimits: tuple[Ulimit, ...] = ()
    default_shm_size: int = 64 * 1024 * 1024
    log_driver: str = "json-file"
    log_opts: Mapping[str, str] = field(default_factory=dict)
    cgroup_parent: str = ""
    exec_opts: tuple[str, ...] = ()
    userns_remap: str = ""
    init: bool = False
    init_path: str = ""
    no_new_privileges: bool = False
    cdi_spec_dirs: tuple[Path, ...] = (Path("/etc/cdi"), Path("/var/run/cdi"))

    @property
    def paths(self) -> Paths:
        """Where this agent keeps what."""
        return Paths(self.data_root, self.exec_root)

    @property
    def systemd_cgroups(self) -> bool:
        """Whether containers are scopes of systemd; of several ``native.cgroupdriver`` the last one counts."""
        return self.exec_opts[-1:] == ("native.cgroupdriver=systemd",)

    @property
    def listen(self) -> tuple[str, ...]:
        """The addresses to serve the API on: as configured, or a socket in the exec root."""
        return self.hosts or (f"unix://{self.exec_root}/wherry.sock",)

    @property
    def pid_path(self) -> Path:
        """The pid file."""
        return self.pidfile or self.exec_root / "wherryd.pid"


def load(flags: Mapping[str, object]) -> Config:
    """The configuration from options of the command line (key of the file → value in the file's form) and the file.

    Raises InvalidParameter, as dockerd does, for a key that nobody knows, a key given in both places and a bad value.
    A missing file is an error only where ``config-file`` was given.
    """
    from wherry.config_options import parse_all

    given = dict(flags)
    named = given.pop("config-file", None)
    path = Path(str(named)) if named is not None else DEFAULT_CONFIG_FILE
    from_file = read_file(path, required=named is not None)
    both = sorted(set(given) & set(from_file))
    if both:
        shown = ", ".join(f"{key}: (from flag: {given[key]}, from file: {from_file[key]})" for key in both)
        raise InvalidParameter(
            f"unable to configure wherryd with file {path}: the following directives are specified both as a flag and "
            f"in the configuration file: {shown}"
        )
    try:
        values = parse_all(from_file)
    except InvalidParameter as error:
        raise InvalidParameter(f"unable to configure wherryd with file {path}: {error}") from error
    values.update(parse_all(given))
    return _checked(replace(Config(config_file=path), **values))


def read_file(path: Path, *, required: bool) -> dict[str, object]:
    """The keys of a configuration file as YAML gives them; an absent file is empty unless it is required."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if required:
            raise InvalidParameter("no such file", field="config-file", value=path) from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidParameter(f"cannot be read: {error}", field="config-file", value=path) from error
    content = _parse_text(text, path)
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InvalidParameter(
            "is not a mapping", field="config-file", value=path, allowed="keys of daemon.json, as YAML or JSON"
        )
    return content


def _parse_text(text: str, path: Path) -> Any:
    """YAML, or JSON: the latter with its own parser, which is many times faster and reads tabs as JSON allows them."""
    if text.lstrip().startswith("{"):
        import json

        try:
            return json.loads(text)
        except ValueError:
            pass  # a flow mapping of YAML
    import yaml

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise InvalidParameter(f"is neither YAML nor JSON: {error}", field="config-file", value=path) from error


def reload(running: Config, flags: Mapping[str, object]) -> tuple[Config, tuple[str, ...]]:
    """The running configuration with the reloadable keys read anew, and the names of the other keys that differ."""
    from wherry.config_options import RELOADABLE

    fresh = load(flags)
    changed = [item.name for item in fields(Config) if getattr(fresh, item.name) != getattr(running, item.name)]
    taken = {name: getattr(fresh, name) for name in changed if name in RELOADABLE}
    return replace(running, **taken), tuple(name for name in changed if name not in RELOADABLE)


def _checked(config: Config) -> Config:
    """What no single key can be blamed for."""
    if config.bridge and config.bip:
        raise InvalidParameter(
            "bridge and bip exclude each other",
            allowed="bip for the bridge that wherryd makes, bridge for one of yours",
        )
    if config.tls and not config.tlsverify:
        raise InvalidParameter(
            "TLS without client certificates is not supported",
            field="tls",
            value="true",
            allowed="together with tlsverify",
        )
    _check_serving(config)
    known = {"wherry-runtime", *config.runtimes}
    if config.default_runtime not in known:
        raise InvalidParameter(
            "no runtime of this name",
            field="default-runtime",
            value=config.default_runtime,
            allowed="one of " + ", ".join(sorted(known)) + ", or another after adding it to runtimes",
        )
    for host in config.hosts:
        if host.startswith("tcp://"):
            _check_tcp(config, host)
    return config


def _check_serving(config: Config) -> None:
    given = [name for name in ("serve_cacert", "serve_cert", "serve_key") if getattr(config, name) is not None]
    if (config.serve or given) and len(given) < 3:
        raise InvalidParameter(
            "peers know each other by certificates",
            field="serve",
            value=config.serve,
            allowed="serve-cacert, serve-cert and serve-key together",
        )


def _check_tcp(config: Config, host: str) -> None:
    missing = [name for name in ("tlscacert", "tlscert", "tlskey") if getattr(config, name) is None]
    if not config.tlsverify or missing:
        raise InvalidParameter(
            "whoever reaches a TCP port without client certificates is root on this host",
            field="hosts",
            value=host,
            allowed="tcp:// only with tlsverify, tlscacert, tlscert and tlskey, or unix:// and ssh",
        )
