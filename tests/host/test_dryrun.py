# SPDX-License-Identifier: LGPL-2.1-or-later
"""--dry-run: the plan is printed, checked, and nothing is touched (the harness compares)."""
import json

import pytest


@pytest.fixture
def net(host):
    host.subnet("net", "10.97.0.0/24")
    host.sandbox("con", "net")
    host.sandbox("free")
    host.ok("POST", "/cnm/v1/endpoints", {"Name": "ep", "Network": "net"}, 201)
    return host


CHANGES = [
    ("POST", "/networks/create", {"Name": "new", "EnableIPv6": True}),
    ("DELETE", "/networks/unused", None),
    ("POST", "/networks/net/connect", {"Container": "free"}),
    ("POST", "/networks/net/disconnect", {"Container": "con"}),
    ("POST", "/networks/prune", None),
    ("POST", "/cnm/v1/sandboxes", {"Name": "new", "Networks": [{"Network": "net"}]}),
    ("DELETE", "/cnm/v1/sandboxes/con", None),
    ("POST", "/cnm/v1/endpoints", {"Name": "new", "Network": "net"}),
    ("POST", "/cnm/v1/endpoints/ep/join", {"Sandbox": "free"}),
    ("POST", "/cnm/v1/endpoints/conep/leave", None),
    ("DELETE", "/cnm/v1/endpoints/ep", None),
]


def test_every_change(net):
    net.network("unused")
    net.ok("POST", "/cnm/v1/endpoints", {"Name": "conep", "Network": "unused"}, 201)
    net.ok("POST", "/cnm/v1/endpoints/conep/join", {"Sandbox": "con"})
    for method, path, body in CHANGES:
        if path.endswith("/unused"):
            net.network("really-unused")
            path = "/networks/really-unused"
        answer = net.api(method, path + "?dry-run=1", body)
        assert answer.status == 200, "%s %s: %r" % (method, path, answer)
        plan = answer.json["Plan"]
        assert isinstance(plan, list) and all(isinstance(line, str) and line for line in plan)
        if path != "/cnm/v1/endpoints" and not path.endswith("/ep"):
            assert plan, path


def test_a_dry_run_is_checked_like_the_real_thing(net):
    net.refused("POST", "/networks/create?dry-run=1", {"Name": "net"}, 409)
    net.refused("DELETE", "/networks/net?dry-run=1", status=403)
    net.refused("DELETE", "/networks/bridge?dry-run=1", status=403)
    net.refused("POST", "/networks/net/connect?dry-run=1", {"Container": "nobody"}, 404)


def test_the_plan_is_what_happens(net):
    plan = net.ok("POST", "/cnm/v1/sandboxes?dry-run=1", {
        "Name": "new", "Networks": [{"Network": "net", "EndpointConfig": {
            "IPAMConfig": {"IPv4Address": "10.97.0.77"}}}]})["Plan"]
    text = "\n".join(plan)
    assert "10.97.0.77/24" in text and "veth" in text and "eth0" in text and "10.97.0.1" in text
    plan = net.ok("DELETE", "/cnm/v1/sandboxes/con?dry-run=1")["Plan"]
    assert net.address("con", "net") + "/24" in "\n".join(plan) or "veth" in "\n".join(plan)


def test_by_command(net):
    for argv in (["network", "create", "--dry-run", "new"],
                 ["network", "connect", "--dry-run", "net", "free"],
                 ["network", "disconnect", "--dry-run", "net", "con"],
                 ["sandbox", "create", "--dry-run", "new", "--net", "net"],
                 ["sandbox", "rm", "--dry-run", "con"],
                 ["endpoint", "rm", "--dry-run", "ep"]):
        result = net.cnm(*argv, check=True)
        if argv[0] != "endpoint":
            assert result.out.strip(), argv
    assert json.loads(net.cnm("network", "inspect", "net", check=True).out)
