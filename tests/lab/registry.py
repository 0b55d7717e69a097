"""Debian's docker-registry, run privately: unpacked from its package, on loopback inside a test's own namespace.

The package is never installed. It is fetched once by ``apt-get download`` into a cache directory.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import bcrypt
import yaml

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wherry-lab"
PACKAGE = "docker-registry"
READY_SECONDS = 15.0

Enter = Callable[[Sequence[str]], list[str]]


def registry_program() -> Path:
    """The registry's program: that of PATH, else fetched and unpacked when it is not in the cache yet."""
    if installed := shutil.which(PACKAGE):
        return Path(installed)
    program = CACHE / PACKAGE / "usr/bin/docker-registry"
    if not program.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as fetched:
            # apt drops root when it downloads, and must be able to write there.
            Path(fetched).chmod(0o777)
            subprocess.run(["apt-get", "-qq", "download", PACKAGE], cwd=fetched, check=True)
            package = next(Path(fetched).glob("*.deb"))
            unpacked = Path(fetched) / "root"
            subprocess.run(["dpkg", "-x", package, unpacked], check=True)
            shutil.rmtree(CACHE / PACKAGE, ignore_errors=True)
            unpacked.rename(CACHE / PACKAGE)
    return program


class Registry:
    """A registry on loopback of some namespace. ``enter`` makes a command line that runs there."""

    def __init__(
        self,
        enter: Enter,
        port: int,
        *,
        users: dict[str, str] | None = None,
        proxy_of: str | None = None,
        host: str = "127.0.0.1",
        certificate: tuple[Path, Path] | None = None,
        client_authority: Path | None = None,
    ) -> None:
        self.port = port
        self.host = host
        self.place = Path(tempfile.mkdtemp(prefix="wt-registry-", dir="/var/tmp"))
        self._enter = enter
        self._users = users
        self._proxy_of = proxy_of
        self._certificate = certificate
        self._client_authority = client_authority
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """host:port, as it begins image names."""
        return f"{self.host}:{self.port}"

    def __enter__(self) -> Registry:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.place, ignore_errors=True)

    def start(self) -> None:
        """Starts it and waits until it answers."""
        config = self.place / "config.yml"
        config.write_text(yaml.safe_dump(self._settings()))
        with (self.place / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._enter([str(registry_program()), "serve", str(config)]), stdout=log, stderr=log
            )
        deadline = time.monotonic() + READY_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the registry did not start:\n{self.log_text()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends it; what it stores stays until the context ends."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def log_text(self) -> str:
        """What it has logged: a line for every request."""
        return (self.place / "log").read_text(errors="replace")

    def _settings(self) -> dict[str, object]:
        http: dict[str, object] = {"addr": self.address}
        if self._certificate is not None:
            files: dict[str, object] = {"certificate": str(self._certificate[0]), "key": str(self._certificate[1])}
            if self._client_authority is not None:
                files["clientcas"] = [str(self._client_authority)]
            http["tls"] = files
        settings: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "info", "accesslog": {"disabled": False}},
            "storage": {"filesystem": {"rootdirectory": str(self.place / "data")}, "delete": {"enabled": True}},
            "http": http,
        }
        if self._users:
            lines = [
                f"{user}:{bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode()}\n"
                for user, word in self._users.items()
            ]
            (self.place / "htpasswd").write_text("".join(lines))
            settings["auth"] = {"htpasswd": {"realm": "lab", "path": str(self.place / "htpasswd")}}
        if self._proxy_of:
            settings["proxy"] = {"remoteurl": self._proxy_of}
        return settings

    def _answers(self) -> bool:
        """Whether it listens; one that speaks TLS says over plain HTTP that it wants TLS."""
        done = subprocess.run(
            self._enter(["curl", "-s", "--noproxy", "*", "--max-time", "2", f"http://{self.address}/v2/"]),
            capture_output=True,
            check=False,
        )
        return done.returncode == 0
