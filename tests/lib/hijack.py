# SPDX-License-Identifier: LGPL-2.1-or-later
"""Requests whose answer is a connection: attach and exec take it over, with or without Upgrade, and
wait, logs and events send their head at once and the rest when there is some."""
import contextlib
import json
import select
import socket
import struct
import time
import urllib.parse

from harness import PATIENCE


class Closed(AssertionError):
    pass


def request_bytes(method, target, body=None, upgrade=False, headers=()):
    lines = ["%s %s HTTP/1.1" % (method, target), "Host: docker"]
    if upgrade:
        lines += ["Connection: Upgrade", "Upgrade: tcp"]
    if body is not None:
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines += ["Content-Type: application/json", "Content-Length: %d" % len(body)]
    elif method == "POST":
        lines.append("Content-Length: 0")
    lines += headers
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


class Stream:
    """One request on a connection of its own. The head of the answer has been read; what follows it
    is read as it comes: chunks are undone, frames only by frame() and output()."""

    def __init__(self, path, method, target, body=None, upgrade=False, early=b"", headers=()):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(path)
        self.raw = b""      # as it came
        self.pending = b""  # of the body, not yet asked for
        self.ended = False
        self.chunked = False
        self.sock.sendall(request_bytes(method, target, body, upgrade, headers) + early)
        self._read_head()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _read_head(self):
        end = time.monotonic() + PATIENCE
        while b"\r\n\r\n" not in self.raw:
            self._receive(end)
        head, self.raw = self.raw.split(b"\r\n\r\n", 1)
        first, *lines = head.decode().split("\r\n")
        self.status, self.reason = int(first.split(" ", 2)[1]), first.split(" ", 2)[2]
        self.headers = {line.split(":", 1)[0].lower(): line.split(":", 1)[1].strip()
                        for line in lines}
        self.chunked = self.headers.get("transfer-encoding") == "chunked"
        self.length = int(self.headers["content-length"]) if "content-length" in self.headers else None

    def _receive(self, end):
        ready, _, _ = select.select([self.sock], [], [], max(0, end - time.monotonic()))
        assert ready, "nothing more came; so far: %r %r" % (self.pending[-200:], self.raw[-200:])
        data = self.sock.recv(65536)
        if not data:
            self.ended = True
            raise Closed("the connection has ended; so far: %r" % (self.pending + self.raw)[-200:])
        self.raw += data

    def _unchunk(self):
        """Move what is whole from raw to pending."""
        if not self.chunked:
            self.pending, self.raw = self.pending + self.raw, b""
            if self.length is not None:
                self.ended = len(self.pending) >= self.length
            return
        while b"\r\n" in self.raw and not self.ended:
            size, rest = self.raw.split(b"\r\n", 1)
            size = int(size, 16)
            if len(rest) < size + 2:
                return
            self.pending, self.raw = self.pending + rest[:size], rest[size + 2:]
            self.ended = size == 0

    def _more(self, end):
        self._unchunk()
        if self.ended:
            raise Closed("the answer has ended; not yet read: %r" % self.pending[-200:])
        self._receive(end)
        self._unchunk()

    def read(self, n):
        end = time.monotonic() + PATIENCE
        self._unchunk()
        while len(self.pending) < n:
            self._more(end)
        data, self.pending = self.pending[:n], self.pending[n:]
        return data

    def until(self, word):
        """Everything up to and with these bytes."""
        end = time.monotonic() + PATIENCE
        self._unchunk()
        while word not in self.pending:
            self._more(end)
        at = self.pending.index(word) + len(word)
        data, self.pending = self.pending[:at], self.pending[at:]
        return data

    def rest(self):
        """Everything to the end."""
        end = time.monotonic() + PATIENCE
        with contextlib.suppress(Closed, ConnectionResetError):
            while True:
                self._more(end)
        data, self.pending = self.pending, b""
        return data

    def frame(self):
        """(1 stdout or 2 stderr, bytes)"""
        kind, length = struct.unpack("!BxxxI", self.read(8))
        return kind, self.read(length)

    def output(self):
        """(stdout, stderr) of all frames to the end."""
        return unframe(self.rest())

    def nothing_yet(self):
        """No byte of the body is there now."""
        self._unchunk()
        return not self.pending and not self.raw and not select.select([self.sock], [], [], 0)[0]

    @property
    def json(self):
        return json.loads(self.rest())

    def send(self, data):
        self.sock.sendall(data)

    def end_sending(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()


def unframe(data):
    out = {1: b"", 2: b""}
    while data:
        kind, length = struct.unpack("!BxxxI", data[:8])
        assert kind in out and len(data) >= 8 + length, "not whole frames: %r" % data[:40]
        out[kind] += data[8:8 + length]
        data = data[8 + length:]
    return out[1], out[2]


def quote(value):
    """JSON for a query."""
    return urllib.parse.quote(json.dumps(value), safe="")
