"""Root file systems for images, made of the machine's static busybox."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
DIRECTORIES = ("bin", "dev", "etc", "proc", "root", "sys", "tmp", "var", "var/www", "usr", "usr/bin")
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\napp:x:1000:1000::/tmp:/bin/sh\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\napp:x:1000:\nextra:x:2000:app\n",
}


def busybox_archive(path: Path, files: dict[str, str] | None = None) -> Path:
    """Writes a tar archive of a small but whole system: busybox with its applets, users, groups, and ``files``."""
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    with tarfile.open(path, "w") as archive:
        for name in DIRECTORIES:
            archive.addfile(_entry(name, tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755))
        program = _entry("bin/busybox", tarfile.REGTYPE, 0o755)
        program.size = BUSYBOX.stat().st_size
        with BUSYBOX.open("rb") as content:
            archive.addfile(program, content)
        for applet in applets:
            if applet != "busybox":
                link = _entry(f"bin/{applet}", tarfile.SYMTYPE, 0o777)
                link.linkname = "busybox"
                archive.addfile(link)
        for name, text in {**FILES, **(files or {})}.items():
            data = text.encode()
            entry = _entry(name, tarfile.REGTYPE, 0o644)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry
