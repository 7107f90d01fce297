# SPDX-License-Identifier: LGPL-2.1-or-later
"""The drivers host and null."""
import json
import os
import socket

import netlink


def test_host_shows_the_same_addresses(host):
    host.sandbox("hosted", "host")
    assert (host.cnm("sandbox", "exec", "hosted", "ip", "addr", check=True).out
            == host.run("ip", "addr").out)


def test_host_shares_ports(host):
    host.sandbox("hosted", "host")
    view = host.inside("hosted")
    with view.socket(kind=socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 4242))
        listener.listen()
        with netlink.inside(host.netns):
            client = socket.socket()
        client.connect(("127.0.0.1", 4242))
        client.close()


def test_host_sandbox_is_the_hosts_namespace(host):
    host.sandbox("hosted", "host")
    path = host.root + host.get("/cnm/v1/sandboxes/hosted")["NetnsPath"]
    assert os.stat(path).st_ino == os.stat(host.netns_path).st_ino
    before = host.run("ip", "-br", "link").out
    host.remove_sandbox("hosted")
    assert host.run("ip", "-br", "link").out == before


def test_host_resolv_conf_is_the_hosts(host):
    host.sandbox("hosted", "host")
    shown = host.cnm("sandbox", "exec", "hosted", "cat", "/etc/resolv.conf", check=True).out
    assert "nameserver 192.0.2.1" in shown and "127.0.0.11" not in shown


def test_none_has_loopback_only(host):
    host.sandbox("alone", "none")
    links = json.loads(host.inside("alone").run("ip", "-j", "link").out)
    assert [(link["ifname"], "UP" in link["flags"]) for link in links] == [("lo", True)]
    assert not host.inside("alone").run("ip", "route").out


def test_without_networks_too(host):
    host.sandbox("bare")
    assert host.inside("bare").links() == {}


def put_by_hand(host, sandbox):
    """A veth, an address and a route, as a user does it with ip."""
    name = os.path.basename(host.get("/cnm/v1/sandboxes/" + sandbox)["NetnsPath"])
    host.run("ip", "link", "add", "hand0", "type", "veth", "peer", "name", "hand1", "netns", name)
    host.run("ip", "addr", "add", "198.51.100.1/24", "dev", "hand0")
    host.run("ip", "link", "set", "hand0", "up")
    host.run("ip", "-n", name, "addr", "add", "198.51.100.2/24", "dev", "hand1")
    host.run("ip", "-n", name, "link", "set", "hand1", "up")
    host.run("ip", "-n", name, "route", "add", "203.0.113.0/24", "via", "198.51.100.1")


def still_there(host, sandbox):
    view = host.inside(sandbox)
    assert view.links()["hand1"][0] == "198.51.100.2/24"
    assert "203.0.113.0/24 via 198.51.100.1" in view.run("ip", "route").out
    assert view.reaches("198.51.100.1")


def test_what_a_user_puts_in_by_hand_stays(host):
    host.sandbox("alone", "none")
    put_by_hand(host, "alone")
    still_there(host, "alone")
    assert host.doctor() == []
    host.doctor(repair=True)
    still_there(host, "alone")
    host.restart()
    still_there(host, "alone")
    host.restart(kill=True)
    host.wait_healed()
    still_there(host, "alone")
    host.run("nft", "flush", "ruleset")
    host.wait_healed()
    still_there(host, "alone")
    host.run("ip", "link", "del", "hand0")


def test_so_it_does_in_a_sandbox_on_a_bridge(host):
    host.network("net")
    host.sandbox("con", "net")
    put_by_hand(host, "con")
    host.doctor(repair=True)
    host.restart()
    host.wait_healed()
    still_there(host, "con")
    host.run("ip", "link", "del", "hand0")
