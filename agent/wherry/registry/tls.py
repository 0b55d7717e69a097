"""TLS towards registries: which authorities are trusted and which certificate is shown."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import InvalidParameter

PEM_BEGIN = "-----BEGIN"


@dataclass(frozen=True)
class TlsSettings:
    """What a TLS connection needs.

    ``authorities`` are PEM texts or paths that are trusted, beside the system's own with ``system``.
    """

    verify: bool = True
    authorities: tuple[str, ...] = ()
    client_certificates: tuple[tuple[str, str], ...] = ()
    system: bool = True


def read_certificate_directories(directories: Sequence[Path], host: str) -> TlsSettings:
    """The settings in ``certs.d/<host:port>/``: ``*.crt`` authorities, ``*.cert`` with ``*.key`` for the client.

    The first directory that has a folder for the host is used, as Docker does it.
    Errors: ``InvalidParameter`` for a certificate without its key.
    """
    for directory in directories:
        place = directory / host
        if place.is_dir():
            pairs = []
            for certificate in sorted(place.glob("*.cert")):
                key = certificate.with_suffix(".key")
                if not key.exists():
                    raise InvalidParameter(f"missing key {key.name} for client certificate {certificate}")
                pairs.append((str(certificate), str(key)))
            return TlsSettings(True, tuple(str(path) for path in sorted(place.glob("*.crt"))), tuple(pairs))
    return TlsSettings()


@functools.lru_cache(maxsize=64)
def context(settings: TlsSettings, _stamp: tuple[int, ...] = ()) -> ssl.SSLContext:
    """An SSL context for the settings. ``_stamp`` changes when a file behind them does; see ``stamp``."""
    made = ssl.create_default_context() if settings.system else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if not settings.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    try:
        for authority in settings.authorities:
            if authority.startswith(PEM_BEGIN):
                made.load_verify_locations(cadata=authority)
            else:
                made.load_verify_locations(cafile=authority)
        for certificate, key in settings.client_certificates:
            made.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise InvalidParameter(f"cannot use the certificates given for a registry: {error}") from error
    return made


def stamp(settings: TlsSettings) -> tuple[int, ...]:
    """Modification times of the files behind the settings, so that renewed certificates are seen."""
    files = [path for path in settings.authorities if not path.startswith(PEM_BEGIN)]
    files += [path for pair in settings.client_certificates for path in pair]
    return tuple(_modified(path) for path in files)


def _modified(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0
