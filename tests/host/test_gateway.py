# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which endpoint gives a sandbox its default routes (features.md 1.3)."""
import harness


def gateway(host, network, family=4):
    return host.settings("con", network)["Gateway" if family == 4 else "IPv6Gateway"]


def leads(host, network, family=4):
    """The default route goes over this network."""
    route = host.inside("con").default_route(family)
    return bool(route) and route[0] == gateway(host, network, family)


def test_ascending_names(host):
    for name in ("b", "a", "B"):
        host.network(name)
    host.sandbox("con", "b")
    assert leads(host, "b")
    host.connect("a", "con")
    assert leads(host, "a")
    host.connect("B", "con")
    assert leads(host, "B")  # byte order: capitals first
    host.disconnect("B", "con")
    assert leads(host, "a")
    host.disconnect("a", "con")
    assert leads(host, "b")
    host.disconnect("b", "con")
    assert host.inside("con").default_route() is None


def test_priority_wins(host):
    for name in ("a", "b", "c"):
        host.network(name)
    host.sandbox("con", "a")
    host.connect("b", "con", GwPriority=5)
    assert leads(host, "b")
    host.connect("c", "con", GwPriority=-5)
    assert leads(host, "b")
    host.disconnect("b", "con")
    assert leads(host, "a")
    host.disconnect("a", "con")
    assert leads(host, "c")


def test_not_internal(host):
    host.network("a", Internal=True)
    host.network("b")
    host.sandbox("con", "a", "b")
    assert leads(host, "b")
    host.disconnect("b", "con")
    assert host.inside("con").default_route() is None


def test_both_families_before_one(host):
    host.network("a")
    host.network("b", EnableIPv6=True)
    host.sandbox("con", "a", "b")
    assert leads(host, "b") and leads(host, "b", 6)


def test_families_are_chosen_separately(host):
    host.network("four")
    host.network("six", EnableIPv4=False, EnableIPv6=True)
    host.sandbox("con", "four", "six")
    assert leads(host, "four") and leads(host, "six", 6)
    view = host.inside("con")
    assert view.reaches(harness.LAN4) and view.reaches(harness.LAN6)


def test_the_sandbox_says_so(host):
    host.network("a")
    host.network("b")
    host.sandbox("con", ("a", {}), ("b", {"GwPriority": 1}))
    shown = host.get("/cnm/v1/sandboxes/con")
    assert "b" == shown["Gateway4"] or shown["Gateway4"] == gateway(host, "b")


def test_a_change_is_exactly_one_route(host):
    host.network("a")
    host.network("b")
    host.sandbox("con", "b")
    host.connect("a", "con")
    routes = host.inside("con").run("ip", "route", "show", "default").out.splitlines()
    assert len(routes) == 1


def test_a_users_default_route_stays(host):
    """With a metric of its own it is not ours, and is left alone."""
    host.network("a")
    host.sandbox("con", "a")
    view = host.inside("con")
    view.run("ip", "route", "add", "default", "via", gateway(host, "a"), "metric", "500")
    host.doctor(repair=True)
    host.restart()
    host.wait_healed()
    assert "metric 500" in view.run("ip", "route", "show", "default").out
