# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ethernet frames, built by hand: as whoever sends them wishes to look."""
import contextlib
import json
import socket
import struct

import harness
import netlink

BROADCAST = "ff:ff:ff:ff:ff:ff"


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(to, source, kind, body):
    return mac_bytes(to) + mac_bytes(source) + struct.pack("!H", kind) + body


def ipv4(source, to, protocol, body):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 7, 0, 64, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(to))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def ipv6(source, to, header, body, hops=255):
    return struct.pack("!IHBB", 6 << 28, len(body), header, hops) + socket.inet_pton(
        socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, to) + body


def udp(body, source_port=5000, port=5001):
    return struct.pack("!HHHH", source_port, port, 8 + len(body), 0) + body


def udp6(source, to, body, source_port=5000, port=5001):
    packet = udp(body, source_port, port)
    pseudo = _pseudo(source, to, len(packet), 17)
    return packet[:6] + struct.pack("!H", checksum(pseudo + packet) or 0xFFFF) + packet[8:]


def _pseudo(source, to, length, header):
    return socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(
        socket.AF_INET6, to) + struct.pack("!II", length, header)


def arp(operation, sender_mac, sender, target_mac, target):
    return struct.pack("!HHBBH", 1, 0x800, 6, 4, operation) + mac_bytes(sender_mac) + socket.inet_aton(
        sender) + mac_bytes(target_mac) + socket.inet_aton(target)


def icmpv6(source, to, kind, body):
    packet = struct.pack("!BBH", kind, 0, 0) + body
    return ipv6(source, to, 58, packet[:2] + struct.pack(
        "!H", checksum(_pseudo(source, to, len(packet), 58) + packet)) + packet[4:])


def neighbour_advert(source, to, target, mac):
    return icmpv6(source, to, 136, struct.pack("!I", 0x20000000) + socket.inet_pton(
        socket.AF_INET6, target) + b"\2\1" + mac_bytes(mac))


def neighbour_solicit(source, to, target):
    return icmpv6(source, to, 135, struct.pack("!I", 0) + socket.inet_pton(socket.AF_INET6, target))


def router_advert(source, to="ff02::1"):
    return icmpv6(source, to, 134, struct.pack("!BBHII", 64, 0, 1800, 0, 0))


class Sender:
    """Sends frames as they are, out of a link inside a namespace."""

    def __init__(self, place, link="eth0"):
        with netlink.inside(place.netns):
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.sock.bind((link, 0))

    def send(self, frame):
        self.sock.send(frame.ljust(60, b"\0"))

    def close(self):
        self.sock.close()


class Witness:
    """What comes in at a link, in order."""

    def __init__(self, place, link="eth0"):
        with netlink.inside(place.netns):
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.sock.bind((link, 0))
        self.sock.settimeout(harness.PATIENCE)

    def until(self, last):
        """Every frame that came before one that contains these bytes (and is not among them)."""
        out = []
        while True:
            frame, how = self.sock.recvfrom(65535)
            if how[2] == socket.PACKET_OUTGOING:
                continue
            if last in frame:
                return out
            out.append(frame)

    def close(self):
        self.sock.close()


def mac_of(place, link="eth0"):
    return json.loads(place.run("ip", "-j", "link", "show", "dev", link).out)[0]["address"]


@contextlib.contextmanager
def closing(*things):
    try:
        yield things
    finally:
        for thing in things:
            thing.close()
