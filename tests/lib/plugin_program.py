#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A network and IPAM plugin by libnetwork's protocol, for tests; it shares nothing with cnm. Its
networks are bridges in namespaces of their own; with "vxlan" they span the hosts that it is told of,
each found by the network's id. Its addresses it gives by itself, from the top of a pool downwards.

    plugin_program.py CONFIG    a JSON file: "listen" a socket's path or HOST:PORT, "log" a file that
                                gets a line a call, "roles", "scope", and more, see below

What it does instead of answering is read from the file CONFIG.orders at each call:
{"NetworkDriver.Join": {"answer": {...}} | {"error": "..."} | {"raw": "..."} | {"status": N} |
 {"hang": seconds} | {"die": true} | {"half": true} | {"big": bytes} | {"call": [socket, path]},
 and "times": how often}.
"""
import http.client
import http.server
import ipaddress
import json
import os
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time

CONFIG = sys.argv[1]
with open(CONFIG) as f:
    SETTINGS = json.load(f)
LOCK = threading.Lock()
POOLS = {}   # id: (subnet, {addresses taken})
PEERS = {}   # address: is it this host
VXLANS = {}  # network: namespace


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


# ---- networks

def space(ask):
    return "plug-" + ask["NetworkID"][:10]


def veth(ask):
    return "pg" + ask["EndpointID"][:11]


def flood_to(name, address):
    ip("netns", "exec", name, "bridge", "fdb", "append", "00:00:00:00:00:00", "dev", "vx0", "dst",
       address)


def make_network(ask):
    name = space(ask)
    if os.path.exists("/run/netns/" + name):
        return
    ip("netns", "add", name)
    ip("-n", name, "link", "add", "br0", "address", "02:00:00:00:00:aa", "type", "bridge")
    ip("-n", name, "link", "set", "br0", "up")
    if "vxlan" in SETTINGS:
        ip("link", "add", "vx0", "netns", name, "type", "vxlan", "id", str(int(ask["NetworkID"][:5], 16)),
           "dstport", "8472", "local", SETTINGS["vxlan"], "nolearning")
        ip("-n", name, "link", "set", "vx0", "master", "br0", "up")
        VXLANS[name] = True
        for address, here in PEERS.items():
            if not here:
                flood_to(name, address)


def create_network(ask):
    make_network(ask)


def delete_network(ask):
    VXLANS.pop(space(ask), None)
    if os.path.exists("/run/netns/" + space(ask)):
        ip("netns", "del", space(ask))


def create_endpoint(ask):
    make_network(ask)
    ip("link", "add", veth(ask), "type", "veth", "peer", "name", veth(ask), "netns", space(ask))
    ip("-n", space(ask), "link", "set", veth(ask), "master", "br0", "up")
    return {"Interface": SETTINGS["interface"]} if "interface" in SETTINGS else {}


def delete_endpoint(ask):
    if os.path.exists("/sys/class/net/" + veth(ask)):
        ip("link", "del", veth(ask))


def join(ask):
    return {"InterfaceName": {"SrcName": veth(ask), "DstPrefix": SETTINGS.get("prefix", "eth")},
            **SETTINGS.get("join", {})}


def discover_new(ask):
    data = ask["DiscoveryData"]
    PEERS[data["Address"]] = data["Self"]
    for name in VXLANS:
        if not data["Self"]:
            flood_to(name, data["Address"])


def discover_delete(ask):
    PEERS.pop(ask["DiscoveryData"]["Address"], None)


# ---- addresses

def spaces(ask):
    return {"LocalDefaultAddressSpace": "here", "GlobalDefaultAddressSpace": "everywhere"}


def request_pool(ask):
    subnets = SETTINGS["pools6" if ask["V6"] else "pools"]
    subnet = ask["Pool"] or [s for s in subnets if "pool-" + s not in POOLS][0]
    POOLS["pool-" + subnet] = (ipaddress.ip_network(subnet), set())
    return {"PoolID": "pool-" + subnet, "Pool": subnet, "Data": SETTINGS.get("data", {})}


def release_pool(ask):
    del POOLS[ask["PoolID"]]


def request_address(ask):
    subnet, taken = POOLS[ask["PoolID"]]
    found = ask["Address"]
    if not found:
        last = int(subnet.broadcast_address) if subnet.num_addresses < 2**20 else int(subnet[2**20])
        found = next(str(subnet[0] + (last - int(subnet[0]) - i)) for i in range(1, 10000)
                     if str(subnet[0] + (last - int(subnet[0]) - i)) not in taken)
    if found in taken:
        raise KeyError(found + " is taken")
    taken.add(found)
    return {"Address": "%s/%d" % (found, subnet.prefixlen), "Data": {}}


def release_address(ask):
    POOLS[ask["PoolID"]][1].discard(ask["Address"])


CALLS = {
    "Plugin.Activate": lambda ask: {"Implements": SETTINGS["roles"]},
    "NetworkDriver.GetCapabilities": lambda ask: SETTINGS.get("capabilities", {"Scope": "local"}),
    "NetworkDriver.GwAllocCheck": lambda ask: {"SkipIPv4": True, "SkipIPv6": True},
    "NetworkDriver.CreateNetwork": create_network, "NetworkDriver.DeleteNetwork": delete_network,
    "NetworkDriver.CreateEndpoint": create_endpoint,
    "NetworkDriver.DeleteEndpoint": delete_endpoint,
    "NetworkDriver.Join": join, "NetworkDriver.Leave": lambda ask: {},
    "NetworkDriver.EndpointOperInfo": lambda ask: {"Value": {"colour": "green"}},
    "NetworkDriver.DiscoverNew": discover_new, "NetworkDriver.DiscoverDelete": discover_delete,
    "IpamDriver.GetCapabilities": lambda ask: SETTINGS.get("ipam_capabilities", {}),
    "IpamDriver.GetDefaultAddressSpaces": spaces,
    "IpamDriver.RequestPool": request_pool, "IpamDriver.ReleasePool": release_pool,
    "IpamDriver.RequestAddress": request_address, "IpamDriver.ReleaseAddress": release_address,
}
if SETTINGS.get("exposes"):
    CALLS["NetworkDriver.ProgramExternalConnectivity"] = lambda ask: {}
    CALLS["NetworkDriver.RevokeExternalConnectivity"] = lambda ask: {}


def order_for(method):
    """What it was told to do instead, once or more."""
    try:
        with open(CONFIG + ".orders") as f:
            orders = json.load(f)
    except OSError:
        return {}
    order = orders.get(method, {})
    if order.get("times") == 0:
        return {}
    if "times" in order:
        order["times"] -= 1
        with open(CONFIG + ".orders.new", "w") as f:
            json.dump(orders, f)
        os.rename(CONFIG + ".orders.new", CONFIG + ".orders")
    return order


def call_back(path, what):
    connection = http.client.HTTPConnection("localhost", timeout=20)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(20)
    connection.sock.connect(path)
    connection.request("GET", what)
    return connection.getresponse().read()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self, body, status=200, length=None):
        self.send_response(status)
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        ask = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        method = self.path[1:]
        with LOCK:
            with open(SETTINGS["log"], "a") as f:
                f.write(json.dumps([method, ask, self.headers.get("Accept")]) + "\n")
            order = order_for(method)
        if "call" in order:
            call_back(*order["call"])
        if "hang" in order:
            time.sleep(order["hang"])
        if "die" in order:
            os._exit(1)
        if "half" in order:
            self.reply(b'{"Interface', length=1000)
            self.close_connection = True
        elif "big" in order:
            self.reply(b'{"Err": "' + b"x" * order["big"] + b'"}')
        elif "raw" in order or "status" in order:
            self.reply(order.get("raw", "").encode(), order.get("status", 200))
        elif "error" in order:
            self.reply(json.dumps({"Err": order["error"], "Error": order["error"]}).encode())
        elif "answer" in order:
            self.reply(json.dumps(order["answer"]).encode())
        elif method not in CALLS:
            self.reply(b"no such call", 404)
        else:
            self.reply(json.dumps(self.answer(CALLS[method], ask)).encode())

    def answer(self, call, ask):
        try:
            with LOCK:
                return call(ask) or {}
        except (subprocess.CalledProcessError, LookupError, StopIteration) as e:
            why = getattr(e, "stderr", None) or repr(e)
            return {"Err": why, "Error": why}


def serve():
    listen = SETTINGS["listen"]
    if listen.startswith("/"):
        os.makedirs(os.path.dirname(listen), exist_ok=True)
        if os.path.exists(listen):
            os.unlink(listen)
        server = socketserver.ThreadingUnixStreamServer(listen, Handler)
    else:
        host, port = listen.rsplit(":", 1)
        server = http.server.ThreadingHTTPServer((host, int(port)), Handler)
        if "certificate" in SETTINGS:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=SETTINGS["ca"])
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_cert_chain(SETTINGS["certificate"], SETTINGS["key"])
            server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    server.serve_forever()


serve()
