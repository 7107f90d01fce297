# SPDX-License-Identifier: LGPL-2.1-or-later
"""Damage done behind the daemon's back is mended without being asked, within seconds."""
import signal

import pytest

import dump
import harness


@pytest.fixture
def healthy(host):
    host.network("net", EnableIPv6=True, Options={
        "com.docker.network.bridge.name": "brx", "com.docker.network.driver.mtu": "1450"})
    host.network("other")
    host.sandbox("one", "net", "other")
    host.sandbox("two", "net")
    host.one, host.two = host.inside("one"), host.inside("two")
    return host


def shape(host):
    """Without what is made anew on repair, and without the link-local addresses that the kernel
    gives a link when it comes up."""
    return {section: [line for line in lines if "fe80::" not in line]
            for section, lines in harness.lasting(host.dump()).items()}


def damage(host, what, view=None):
    """Several commands are one to the daemon, which would mend between them."""
    before = shape(host)
    if ";" in what:
        host.daemon.send_signal(signal.SIGSTOP)
    try:
        (view or host).run("sh", "-c", what)
    finally:
        host.daemon.send_signal(signal.SIGCONT)
    harness.wait_for(lambda: not dump.difference(before, shape(host)),
                     lambda: "mended: %s\n%s" % (what, dump.difference(before, shape(host))), timeout=5 * harness.SLOW)
    assert host.doctor() == []
    assert host.one.reaches(host.address("two", "net"))
    assert host.one.reaches(host.address("two", "net", 6))
    assert host.one.reaches(harness.LAN4)


def veth_of(host, view):
    inner = view.run("ip", "-o", "link", "show", "eth0").out
    number = inner.split("eth0@if")[1].split(":")[0]
    return next(line.split(":")[1].split("@")[0].strip()
                for line in host.run("ip", "-o", "link").out.splitlines()
                if line.split(":")[0] == number)


@pytest.mark.parametrize("what", [
    "nft flush ruleset", "nft delete table inet cnm", "nft delete table bridge cnm",
    "nft flush chain inet cnm forward",
    "ip link set brx down", "ip addr flush dev brx", "ip -4 addr flush dev brx",
    "ip link set brx mtu 1300", "ip link set brx type bridge stp_state 1",
])
def test_the_host(healthy, what):
    damage(healthy, what)


def test_the_bridge_is_deleted(healthy):
    damage(healthy, "ip link del brx")


def test_a_veth_is_deleted(healthy):
    damage(healthy, "ip link del " + veth_of(healthy, healthy.one))


def test_a_veth_is_taken_off_its_bridge(healthy):
    damage(healthy, "ip link set %s nomaster" % veth_of(healthy, healthy.one))


def test_a_veth_is_down(healthy):
    damage(healthy, "ip link set %s down" % veth_of(healthy, healthy.one))


@pytest.mark.parametrize("what", [
    "ip link del eth0", "ip link set eth0 down", "ip addr flush dev eth0", "ip route del default",
    "ip -4 addr flush dev eth0", "ip link set eth0 mtu 1300", "nft flush ruleset",
    "ip link set eth0 down; ip link set eth0 name wrong",
])
def test_a_sandbox(healthy, what):
    damage(healthy, what, healthy.one)


def test_everything_at_once(healthy):
    damage(healthy, "nft flush ruleset; ip link del brx; ip link del cnm0; for l in $(ls /sys/class/net)"
           "; do case $l in veth*) ip link del $l 2>/dev/null;; esac; done; true")


def test_what_others_add_stays(healthy):
    healthy.run("nft", "add table inet mine; add chain inet mine c")
    healthy.run("ip", "link", "add", "dummy0", "type", "bridge")
    healthy.run("ip", "addr", "add", "198.51.100.3/32", "dev", "brx")
    damage(healthy, "nft delete table inet cnm")
    assert "198.51.100.3" in healthy.run("ip", "addr", "show", "dev", "brx").out
    assert healthy.link("dummy0")
    healthy.run("nft", "delete table inet mine")
    healthy.run("ip", "link", "del", "dummy0")
    healthy.run("ip", "addr", "del", "198.51.100.3/32", "dev", "brx")


def test_mended_five_times_a_minute_is_left_alone(healthy):
    """Somebody insists: cnm gives way, says so, and mends when asked."""
    for _ in range(12):
        healthy.run("ip", "addr", "flush", "dev", "brx", check=False)
        if healthy.doctor():
            try:
                healthy.wait_healed(timeout=2 * harness.SLOW)
            except AssertionError:
                break
    else:
        raise AssertionError("it fought on")
    assert healthy.notes or "left alone" in healthy.log_text()
    healthy.doctor(repair=True)
    healthy.wait_healed()
