"""A registry that misbehaves on request, and writes down every request that it sees with all headers.

Run as a program in the namespace of a test: ``python -m tests.lab.faulty_registry HOST PORT FOLDER``. The folder has
what ``image_content.Content.write`` makes, ``faults.json`` (read anew for every request) and ``requests.jsonl``.

Faults, all keyed by what stands in the path (a digest or a tag):
  flip           one byte of these is changed
  append         these are followed by as many bytes as the number says (chunked, so no length betrays it)
  claim          their Content-Length says this number
  stall          after this many bytes of them nothing comes any more
  reset          after this many bytes of them the connection is reset, each time
  cut            after this many bytes of them the connection is closed; once each
  status         they are answered with this status; [status, times] ends after so many times
  retry_after    seconds to say with such a status
  types          they are served under this Content-Type
  redirect       requests for them are sent to this URL, to which the path is appended
  upload_cut     after this many bytes of an upload the connection is closed; once
  body_max       parts of an upload that are larger get status 413
  pages          requests for these paths get this document
  html           requests for these paths get a page for people
Faults for all: "basic": "user:password" and "bearer": {"realm":…, "token":…} ask for credentials. A bearer's "user":
"user:password" is what the token service wants, "refresh" the refresh token that it gives for offline_token and takes
in a POST, and "uses" how many requests a token is good for. "headers" are sent with everything.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import struct
import sys
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

STALL_SECONDS = 300


class Handler(BaseHTTPRequestHandler):
    """Serves one folder."""

    protocol_version = "HTTP/1.1"
    folder: Path
    counts: ClassVar[dict[str, int]] = {}
    uploads: ClassVar[dict[str, bytearray]] = {}

    def do_GET(self) -> None:
        """Answers a GET."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Answers a HEAD."""
        self._answer(body=False)

    def do_POST(self) -> None:
        """Begins an upload, or gives a token."""
        if self.path.partition("?")[0] == "/token":
            self._renew()
            return
        self._note()
        session = str(len(self.uploads))
        self.uploads[session] = bytearray()
        place = self.path.partition("?")[0].rstrip("/")
        self._send(202, b"", [("Location", f"{place}/{session}"), ("Range", "0-0")])

    def do_PATCH(self) -> None:
        """Takes a part of an upload."""
        self._note()
        session, faults = self.path.rpartition("/")[2], self._faults()
        length = int(self.headers["Content-Length"])
        if length > faults.get("body_max", 1 << 40):
            self.close_connection = True
            self._send(413, b"")
            return
        data = self.uploads[session]
        assert int(self.headers["Content-Range"].partition("-")[0]) == len(data), "a part in the wrong place"
        cut = faults.get("upload_cut")
        if cut is not None and not self.counts.get("upload_cut"):
            self.counts["upload_cut"] = 1
            data += self.rfile.read(min(cut, length))
            self.close_connection = True
            return
        data += self.rfile.read(length)
        self._send(202, b"", [("Location", self.path), ("Range", f"0-{len(data) - 1}")])

    def do_PUT(self) -> None:
        """Ends an upload, or takes a manifest."""
        self._note()
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if "/uploads/" in path:
            digest = urllib.parse.parse_qs(query)["digest"][0]
            body = bytes(self.uploads.pop(path.rpartition("/")[2])) + body
            good = digest == f"sha256:{hashlib.sha256(body).hexdigest()}"
            if good:
                (self.folder / "blobs" / digest).write_bytes(body)
            self._send(201 if good else 400, b"")
        else:
            self._send(201, b"")

    def _renew(self) -> None:
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode())
        self._note(form={name: values[0] for name, values in form.items()})
        bearer = self._faults().get("bearer", {})
        if "refresh" not in bearer:
            self._send(405, b"")
        elif form.get("grant_type") != ["refresh_token"] or form.get("refresh_token") != [bearer["refresh"]]:
            self._send(401, b"{}")
        else:
            self._token(bearer, offline=False)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are noted in the file instead."""

    def _note(self, **further: Any) -> None:
        line = {"method": self.command, "path": self.path, "headers": dict(self.headers.items()), **further}
        with (self.folder / "requests.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _answer(self, *, body: bool) -> None:
        self._note()
        faults = self._faults()
        path = self.path.partition("?")[0]
        if path == "/token":
            self._login(faults["bearer"])
        elif not self._authorised(faults):
            self._challenge(faults)
        elif path == "/v2/":
            self._send(200, b"{}")
        elif path in faults.get("pages", {}):
            self._send(200, json.dumps(faults["pages"][path]).encode())
        elif path in faults.get("html", ()):
            self._send(200, b"<!doctype html><p>sign in", [("Content-Type", "text/html")])
        elif path.endswith("/tags/list"):
            self._tags(path)
        elif "/blobs/uploads/" in path:
            there = len(self.uploads[path.rpartition("/")[2]])
            self._send(204, b"", [("Location", path), ("Range", f"0-{max(there - 1, 0)}")])
        else:
            self._serve(path.rpartition("/")[2], path, faults, body)

    def _tags(self, path: str) -> None:
        """Two tags a page."""
        last = urllib.parse.parse_qs(self.path.partition("?")[2]).get("last", [""])[0]
        tags = sorted(json.loads((self.folder / "tags.json").read_text())["tags"])
        rest = [tag for tag in tags if tag > last]
        more = [("Link", f'<{path}?n=2&last={rest[1]}>; rel="next"')] if len(rest) > 2 else []
        self._send(200, json.dumps({"name": path.split("/")[2], "tags": rest[:2]}).encode(), more)

    def _login(self, bearer: dict[str, Any]) -> None:
        wanted = bearer.get("user")
        given = self.headers.get("Authorization")
        if wanted and given != "Basic " + base64.b64encode(wanted.encode()).decode():
            self._send(401, b"{}")
        else:
            self._token(bearer, offline="offline_token=true" in self.path)

    def _token(self, bearer: dict[str, Any], *, offline: bool) -> None:
        self.counts["tokens"] = self.counts.get("tokens", 0) + 1
        self.counts["token uses"] = 0
        answer = {"token": self._current(bearer), "expires_in": 300}
        if offline and "refresh" in bearer:
            answer["refresh_token"] = bearer["refresh"]
        self._send(200, json.dumps(answer).encode())

    def _current(self, bearer: dict[str, Any]) -> str:
        number = f"-{self.counts.get('tokens', 0)}" if "uses" in bearer else ""
        return f"{bearer['token']}{number}"

    def _faults(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.folder / "faults.json").read_text())
        except FileNotFoundError:
            return {}
        return found

    def _authorised(self, faults: dict[str, Any]) -> bool:
        given = self.headers.get("Authorization")
        if "basic" in faults:
            return given == "Basic " + base64.b64encode(faults["basic"].encode()).decode()
        if "bearer" in faults:
            bearer = faults["bearer"]
            self.counts["token uses"] = self.counts.get("token uses", 0) + 1
            spent = "uses" in bearer and self.counts["token uses"] > bearer["uses"]
            return given == f"Bearer {self._current(bearer)}" and not spent
        return True

    def _challenge(self, faults: dict[str, Any]) -> None:
        value = 'Basic realm="lab"'
        if "bearer" in faults:
            value = f'Bearer realm="{faults["bearer"]["realm"]}",service="lab"'
        error = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}
        self._send(401, json.dumps(error).encode(), [("WWW-Authenticate", value)])

    def _serve(self, name: str, path: str, faults: dict[str, Any], body: bool) -> None:
        if name in faults.get("redirect", {}):
            self._send(307, b"", [("Location", faults["redirect"][name] + path)])
            return
        if self._refused(name, faults):
            return
        kind = "blobs" if "/blobs/" in path else "manifests"
        known = json.loads((self.folder / "tags.json").read_text())
        digest = known["tags"].get(name, name)
        file = self.folder / kind / digest
        if not file.exists():
            code = "BLOB_UNKNOWN" if kind == "blobs" else "MANIFEST_UNKNOWN"
            text = "blob unknown" if kind == "blobs" else "manifest unknown"
            self._send(404, json.dumps({"errors": [{"code": code, "message": text}]}).encode())
            return
        data = bytearray(file.read_bytes())
        if name in faults.get("flip", ()):
            data[len(data) // 2] ^= 1
        served = faults.get("types", {}).get(name) or known["types"].get(digest, "application/octet-stream")
        self._content(name, bytes(data), served, faults, body)

    def _refused(self, name: str, faults: dict[str, Any]) -> bool:
        if name not in faults.get("status", {}):
            return False
        wanted = faults["status"][name]
        status, times = wanted if isinstance(wanted, list) else (wanted, 1 << 30)
        self.counts[name] = self.counts.get(name, 0) + 1
        if self.counts[name] > times:
            return False
        extra = [("Retry-After", str(faults["retry_after"]))] if "retry_after" in faults else []
        self._send(status, b"{}", extra)
        return True

    def _content(self, name: str, data: bytes, served: str, faults: dict[str, Any], body: bool) -> None:
        offset = self._offset()
        status, extra = (
            (206, [("Content-Range", f"bytes {offset}-{len(data) - 1}/{len(data)}")]) if offset else (200, [])
        )
        data = data[offset:]
        length = faults.get("claim", {}).get(name, len(data))
        appended = faults.get("append", {}).get(name, 0)
        self.send_response(status)
        self.send_header("Content-Type", served)
        self._send_always()
        for header, value in extra:
            self.send_header(header, value)
        if appended:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if not body:
            return
        self._send_body(name, data, faults)
        for _ in range(0, appended, 65536):
            self.wfile.write(b"\0" * 65536)

    def _send_body(self, name: str, data: bytes, faults: dict[str, Any]) -> None:
        if name in faults.get("stall", {}):
            self.wfile.write(data[: faults["stall"][name]])
            self.wfile.flush()
            time.sleep(STALL_SECONDS)
        if name in faults.get("reset", {}):
            self.wfile.write(data[: faults["reset"][name]])
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        cut = faults.get("cut", {}).get(name)
        if cut is not None and not self.counts.get(f"cut {name}"):
            self.counts[f"cut {name}"] = 1
            self.wfile.write(data[:cut])
            self.close_connection = True
            return
        self.wfile.write(data)

    def _offset(self) -> int:
        unit, _, span = self.headers.get("Range", "").partition("=")
        return int(span.partition("-")[0]) if unit == "bytes" else 0

    def _send_always(self) -> None:
        for name, value in self._faults().get("headers", {}).items():
            self.send_header(name, value)

    def _send(self, status: int, body: bytes, headers: list[tuple[str, str]] | None = None) -> None:
        self.send_response(status)
        self._send_always()
        for name, value in headers or []:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def main() -> None:
    """Serves until killed."""
    host, port, folder = sys.argv[1:4]
    Handler.folder = Path(folder)
    server = ThreadingHTTPServer((host, int(port)), Handler)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
