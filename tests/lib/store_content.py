# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a store (stores.py) has, read by its own protocol and none of the daemon's code."""
import base64
import contextlib
import json
import socket
import struct
import urllib.error

import harness
import netlink


def entries(member, prefix):
    """{key below prefix/: value as bytes}, as one server has them."""
    return {"etcd": _etcd, "consul": _consul, "zookeeper": _zookeeper}[member.store.kind](member, prefix + "/")


def _etcd(member, prefix):
    def encoded(text):
        return base64.b64encode(text.encode()).decode()
    answer = member.call("kv/range", key=encoded(prefix), range_end=encoded(prefix[:-1] + "0"))
    return {base64.b64decode(kv["key"]).decode()[len(prefix):]: base64.b64decode(kv.get("value", ""))
            for kv in answer.get("kvs", ())}


def _consul(member, prefix):
    try:
        answer = json.loads(member.http("/v1/kv/%s?recurse" % prefix))
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return {}
    return {kv["Key"][len(prefix):]: base64.b64decode(kv["Value"] or "") for kv in answer
            if not kv["Key"].endswith("/")}


# ------------------------------------------------------------------------------- ZooKeeper

GET_DATA, GET_CHILDREN, CLOSE = 4, 8, -11
NO_NODE = -101


class _Session:
    """As much of its protocol as reading takes: big-endian, each message with its length before it."""

    def __init__(self, member):
        with netlink.inside(member.store.netns):
            self.sock = socket.create_connection((member.address, member.port), timeout=harness.PATIENCE)
        self.stream, self.number = self.sock.makefile("rb"), 0
        self._send(struct.pack("!iqiqi", 0, 0, 10000, 0, 16) + bytes(16))
        self._receive()

    def _send(self, body):
        self.sock.sendall(struct.pack("!i", len(body)) + body)

    def _receive(self):
        return self.stream.read(struct.unpack("!i", self.stream.read(4))[0])

    def _ask(self, what, path):
        """What is behind the header of the reply, or None: there is no such node."""
        self.number += 1
        self._send(struct.pack("!iii", self.number, what, len(path)) + path.encode() + b"\0")
        reply = self._receive()
        number, _, error = struct.unpack_from("!iqi", reply)
        assert number == self.number and error in (0, NO_NODE), (path, error)
        return None if error else reply[16:]

    def children(self, path):
        body = self._ask(GET_CHILDREN, path)
        names, at = [], 4
        for _ in range(struct.unpack_from("!i", body)[0] if body else 0):
            length, = struct.unpack_from("!i", body, at)
            names.append(body[at + 4:at + 4 + length].decode())
            at += 4 + length
        return names

    def data(self, path):
        body = self._ask(GET_DATA, path)
        length = struct.unpack_from("!i", body)[0] if body else 0
        return body[4:4 + length] if length > 0 else None

    def close(self):
        self._send(struct.pack("!ii", self.number + 1, CLOSE))
        self.stream.close()
        self.sock.close()


def _zookeeper(member, prefix):
    """Nodes without data are folders."""
    found = {}

    def walk(path):
        for name in session.children(path):
            below = path + "/" + name
            data = session.data(below)
            if data is not None:
                found[below[len(prefix) + 1:]] = data
            walk(below)
    with contextlib.closing(_Session(member)) as session:
        walk("/" + prefix[:-1])
    return found
