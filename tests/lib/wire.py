# SPDX-License-Identifier: LGPL-2.1-or-later
"""Packets for tests: DNS messages, captures, and flows that tell whether anything was lost."""
import contextlib
import hashlib
import select
import socket
import struct
import threading
import time

import harness
import netlink

A, PTR, MX, AAAA, SRV, TXT = 1, 12, 15, 28, 33, 16
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5


# ------------------------------------------------------------------------------- DNS

def encode_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def decode_name(data, pos):
    labels, end = [], None
    while data[pos]:
        if data[pos] & 0xC0 == 0xC0:
            end = end or pos + 2
            pos = struct.unpack_from("!H", data, pos)[0] & 0x3FFF
            continue
        labels.append(data[pos + 1:pos + 1 + data[pos]].decode())
        pos += 1 + data[pos]
    return ".".join(labels), end or pos + 1


def query(name, kind, number=0x1234):
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + encode_name(name) + struct.pack("!2H", kind, 1)


class Reply:
    """A DNS answer: .code, .truncated, .answers = [(name, type, ttl, text)]"""

    def __init__(self, data):
        self.number, flags, questions, answers, _, _ = struct.unpack_from("!6H", data)
        self.code, self.truncated = flags & 15, bool(flags & 0x200)
        pos = 12
        for _ in range(questions):
            _, pos = decode_name(data, pos)
            pos += 4
        self.answers = []
        for _ in range(answers):
            name, pos = decode_name(data, pos)
            kind, _, ttl, length = struct.unpack_from("!HHIH", data, pos)
            pos += 10
            body = data[pos:pos + length]
            if kind == A:
                text = socket.inet_ntop(socket.AF_INET, body)
            elif kind == AAAA:
                text = socket.inet_ntop(socket.AF_INET6, body)
            elif kind == PTR:
                text = decode_name(data, pos)[0]
            else:
                text = body.hex()
            self.answers.append((name, kind, ttl, text))
            pos += length

    @property
    def texts(self):
        return sorted(answer[3] for answer in self.answers)


def ask(view, name, kind=A, server="127.0.0.11", tcp=False, timeout=5 * harness.SLOW):
    """Ask from inside a sandbox (harness.Inside)."""
    message = query(name, kind)
    with view.socket(kind=socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        sock.connect((server, 53))
        if not tcp:
            sock.send(message)
            return Reply(sock.recv(65535))
        sock.sendall(struct.pack("!H", len(message)) + message)
        stream = sock.makefile("rb")
        length, = struct.unpack("!H", stream.read(2))
        return Reply(stream.read(length))


class Server:
    """A DNS server on the LAN, which knows {(name, type): address text}; NXDOMAIN for the rest. Keeps
    the names it was asked for."""

    def __init__(self, host, known, address="192.0.2.1"):
        self.known, self.asked = known, []
        with netlink.inside(host.lan.netns):
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((address, 53))
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            with contextlib.suppress(OSError, IndexError, struct.error):
                data, peer = self.sock.recvfrom(65535)
                if data == b"end":
                    return
                name, pos = decode_name(data, 12)
                kind, = struct.unpack_from("!H", data, pos)
                self.asked.append((name.lower(), kind))
                text = self.known.get((name.lower(), kind))
                head = data[:2] + struct.pack("!5H", 0x8180 | (0 if text else NXDOMAIN), 1,
                                              1 if text else 0, 0, 0)
                answer = b""
                if text:
                    body = socket.inet_pton(socket.AF_INET if kind == A else socket.AF_INET6, text)
                    answer = b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(body)) + body
                self.sock.sendto(head + data[12:pos + 4] + answer, peer)

    def close(self):
        self.sock.sendto(b"end", self.sock.getsockname())
        self.thread.join()
        self.sock.close()


# ------------------------------------------------------------------------------- captures

class Capture:
    """Every frame on a link, from the moment of construction."""

    def __init__(self, netns, link):
        with netlink.inside(netns):
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.sock.bind((link, 0))

    def wait(self, matches, timeout=10 * harness.SLOW):
        """The first frame for which matches(frame) holds."""
        end = time.monotonic() + timeout
        while True:
            ready, _, _ = select.select([self.sock], [], [], max(0, end - time.monotonic()))
            assert ready, "no such frame within %g s" % timeout
            frame = self.sock.recv(65535)
            if matches(frame):
                return frame

    def close(self):
        self.sock.close()


def is_gratuitous_arp(address):
    packed = socket.inet_aton(address)
    return lambda frame: (frame[12:14] == b"\x08\x06" and frame[28:32] == packed
                          and frame[38:42] == packed)


def is_unsolicited_na(address):
    packed = socket.inet_pton(socket.AF_INET6, address)
    return lambda frame: (frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == 136
                          and frame[62:78] == packed)


# ------------------------------------------------------------------------------- flows

SO_RCVBUFFORCE = 33


def patient(sock):
    """A receiver that is not scheduled for a while must not drop what the network delivered."""
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    return sock


class UdpFlow:
    """A datagram each millisecond from one namespace to another, which sends each of them back."""

    def __init__(self, source, target, address, port=9000):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.echo = patient(target.socket(family))
        self.echo.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
        self.sock = patient(source.socket(family))
        self.sock.connect((address, port))
        self.sent, self.received, self.stopping, self.ended = 0, set(), False, False
        self.threads = [threading.Thread(target=work, daemon=True)
                        for work in (self._echo, self._send, self._receive)]
        for thread in self.threads:
            thread.start()

    def _echo(self):
        while True:
            data, peer = self.echo.recvfrom(64)
            if data == b"end":
                return
            with contextlib.suppress(OSError):
                self.echo.sendto(data, peer)

    def _send(self):
        due = time.monotonic()
        while not self.stopping:
            with contextlib.suppress(OSError):
                self.sock.send(struct.pack("!I", self.sent))
            self.sent += 1
            due += 0.001
            time.sleep(max(0, due - time.monotonic()))

    def _receive(self):
        while not self.ended:
            with contextlib.suppress(OSError):
                self.received.add(self.sock.recv(64))

    def stop(self):
        """Ends the flow; how many were sent, and how many never came back."""
        self.stopping = True
        self.threads[1].join()  # before it is known how many are to come
        end = time.monotonic() + 2 * harness.SLOW
        while len(self.received) < self.sent and time.monotonic() < end:
            time.sleep(0.001)
        self.ended = True
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.threads[2].join()
        self.received.discard(b"")  # what a shutdown brings
        end = self.echo.getsockname()
        self.echo.sendto(b"end", ("::1" if ":" in end[0] else "127.0.0.1", end[1]))
        self.threads[0].join()
        self.sock.close()
        self.echo.close()
        return self.sent, self.sent - len(self.received)


class TcpStream:
    """A stream of bytes from one namespace to another; the far end keeps a running checksum."""

    def __init__(self, source, target, address, port=9001):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = target.socket(family, socket.SOCK_STREAM)
        listener.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
        listener.listen(1)
        self.sock = source.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(harness.PATIENCE)
        self.sock.connect((address, port))
        self.far, _ = listener.accept()
        self.far.settimeout(harness.PATIENCE)
        listener.close()
        self.stopping, self.error = False, None
        self.sent, self.got = hashlib.sha256(), hashlib.sha256()
        self.bytes = 0
        self.threads = [threading.Thread(target=work, daemon=True)
                        for work in (self._send, self._receive)]
        for thread in self.threads:
            thread.start()

    def _send(self):
        number = 0
        try:
            while not self.stopping:
                block = struct.pack("!I", number) * 256
                self.sock.sendall(block)
                self.sent.update(block)
                number += 1
                time.sleep(0.001)
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.error = error

    def _receive(self):
        try:
            while True:
                data = self.far.recv(65536)
                if not data:
                    return
                self.got.update(data)
                self.bytes += len(data)
        except OSError as error:
            self.error = error

    def stop(self):
        """Ends the stream; bytes that came, whether they are the ones that were sent."""
        self.stopping = True
        for thread in self.threads:
            thread.join()
        self.sock.close()
        self.far.close()
        assert not self.error, repr(self.error)
        return self.bytes, self.sent.digest() == self.got.digest()
