# SPDX-License-Identifier: LGPL-2.1-or-later
"""Dumps of a network namespace by raw rtnetlink, as sorted lines of text.

The lines hold what the engine decides and leave out what the kernel counts, ages or derives: no
statistics, timers, operational states, learnt neighbours or routes of the table `local`. They are
independent of cnm's own netlink code, which is what they are there to check. A dump of a namespace
takes about a millisecond; forking `ip` would take ten.
"""
import contextlib
import ctypes
import ipaddress
import os
import socket
import struct

_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000

RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETNEIGH = 18, 22, 26, 30
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_DUMP, NLM_F_DUMP_INTR = 1, 0x300, 0x10
AF_BRIDGE = 7
NUD_NOARP, NUD_PERMANENT = 0x40, 0x80


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def inside(fd):
    """Run the body with the calling thread in the network namespace fd; children inherit it."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(fd)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


def route_socket(fd):
    with inside(fd):
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind((0, 0))
    return sock


def _attrs(data):
    out, pos = {}, 0
    while pos + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, pos)
        if length < 4:
            break
        out[kind & 0x3FFF] = data[pos + 4:pos + length]
        pos += (length + 3) & ~3
    return out


def _dump(sock, kind, header):
    """[(fixed header, attributes)] of a dump, begun again when the kernel says it was torn."""
    while True:
        message = struct.pack("=IHHII", 16 + len(header), kind, NLM_F_REQUEST | NLM_F_DUMP, 1, 0)
        sock.send(message + header)
        out, torn, done = [], False, False
        while not done:
            data, pos = sock.recv(1 << 18), 0
            while pos < len(data):
                length, what, flags, _, _ = struct.unpack_from("=IHHII", data, pos)
                body = data[pos + 16:pos + length]
                torn = torn or bool(flags & NLM_F_DUMP_INTR)
                if what == NLMSG_DONE:
                    done = True
                    break
                if what == NLMSG_ERROR:
                    raise OSError(-struct.unpack_from("=i", body)[0], "netlink dump")
                out.append(body)
                pos += (length + 3) & ~3
        if not torn:
            return out


def _text(value):
    return value.rstrip(b"\0").decode(errors="replace")


def _u32(value):
    return struct.unpack_from("=I", value)[0]


def _mac(value):
    return value.hex(":") if value else "-"


def _ip(value):
    return str(ipaddress.ip_address(value)) if len(value) in (4, 16) else value.hex()


def _link_details(attrs):
    info = _attrs(attrs.get(18, b""))
    kind = _text(info.get(1, b""))
    words = [kind or "-"]
    if kind == "bridge":
        data = _attrs(info.get(2, b""))
        words.append("delay=%d stp=%d snooping=%d" % (
            _u32(data[1]), _u32(data[5]), data[23][0] if 23 in data else -1))
    if _text(info.get(4, b"")) == "bridge":
        port = _attrs(info.get(5, b""))
        words.append("hairpin=%d isolated=%d" % (port[4][0], port[33][0] if 33 in port else 0))
    inet6 = _attrs(_attrs(attrs.get(26, b"")).get(socket.AF_INET6, b""))
    if 8 in inet6:
        words.append("addrgen=%d" % inet6[8][0])
    return " ".join(words)


def links(sock):
    """{ifindex: (name, line)}"""
    raw = []
    for body in _dump(sock, RTM_GETLINK, struct.pack("=BxHiII", 0, 0, 0, 0, 0) +
                      struct.pack("=HHI", 8, 29, 8)):
        _, _, index, flags, _ = struct.unpack_from("=BxHiII", body)
        raw.append((index, flags, _attrs(body[16:])))
    names = {index: _text(attrs[3]) for index, _, attrs in raw}
    out = {}
    for index, flags, attrs in raw:
        master = _u32(attrs[10]) if 10 in attrs else 0
        out[index] = (names[index], "%s idx=%d %s mac=%s mtu=%d up=%d master=%s group=%d alias=%s" % (
            names[index], index, _link_details(attrs), _mac(attrs.get(1)), _u32(attrs[4]), flags & 1,
            names.get(master, master or "-"), _u32(attrs[27]), _text(attrs.get(20, b"-"))))
    return out


def _name(names, index):
    return names[index][0] if index in names else str(index)


def addresses(sock, names):
    out = []
    for body in _dump(sock, RTM_GETADDR, struct.pack("=BBBBi", 0, 0, 0, 0, 0)):
        _, length, _, scope, index = struct.unpack_from("=BBBBi", body)
        attrs = _attrs(body[8:])
        out.append("%s %s/%d scope=%d" % (
            _name(names, index), _ip(attrs.get(2, attrs.get(1, b""))), length, scope))
    return sorted(out)


def routes(sock, names):
    out = []
    for family in (socket.AF_INET, socket.AF_INET6):
        for body in _dump(sock, RTM_GETROUTE, struct.pack("=BBBBBBBBI", family, *([0] * 8))):
            _, length, _, _, table, proto, scope, kind, flags = struct.unpack_from("=8BI", body)
            attrs = _attrs(body[12:])
            table = _u32(attrs[15]) if 15 in attrs else table
            if table == 255 or flags & 0x200:  # table local, cloned
                continue
            dst = _ip(attrs[1]) if 1 in attrs else "default"
            out.append("%s/%d via %s dev %s table=%d proto=%d scope=%d type=%d metric=%d" % (
                dst, length, _ip(attrs[5]) if 5 in attrs else "-",
                _name(names, _u32(attrs[4])) if 4 in attrs else "-", table, proto, scope, kind,
                _u32(attrs[6]) if 6 in attrs else 0))
    return sorted(out)


def neighbours(sock, names):
    """Those that somebody put there: permanent neighbours, static FDB entries."""
    out = []
    for family in (socket.AF_INET, socket.AF_INET6, AF_BRIDGE):
        wanted = NUD_NOARP if family == AF_BRIDGE else NUD_PERMANENT
        header = struct.pack("=BxHiHBB", family, 0, 0, 0, 0, 0)
        for body in _dump(sock, RTM_GETNEIGH, header):
            got, index, state, _, _ = struct.unpack_from("=BxxxiHBB", body)
            if got != family or not state & wanted:
                continue
            attrs = _attrs(body[12:])
            mac = _mac(attrs.get(2))
            out.append("%s %s mac=%s dst=%s" % (
                _name(names, index), "fdb" if family == AF_BRIDGE else "neigh", mac,
                _ip(attrs[1]) if 1 in attrs else "-"))
    return sorted(out)


def dump(fd):
    """{"links": [...], "addresses": [...], "routes": [...], "neighbours": [...]}"""
    with contextlib.closing(route_socket(fd)) as sock:
        names = links(sock)
        return {
            "links": sorted(line for _, line in names.values()),
            "addresses": addresses(sock, names),
            "routes": routes(sock, names),
            "neighbours": neighbours(sock, names),
        }


if __name__ == "__main__":
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    for section, lines in dump(own).items():
        print(section)
        for line in lines:
            print("   ", line)
