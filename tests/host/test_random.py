# SPDX-License-Identifier: LGPL-2.1-or-later
"""A thousand random operations: what the rows plan is what the kernel has, and planning twice gives
the same bytes. The seed is printed; CNM_SEED repeats a run."""
import os
import random

OPERATIONS = 1000


class Player:
    def __init__(self, host, seed):
        self.host, self.random = host, random.Random(seed)
        self.networks, self.sandboxes, self.endpoints = [], [], []
        self.number, self.counts = 0, {}

    def fresh(self, prefix):
        self.number += 1
        return "%s%d" % (prefix, self.number)

    def call(self, method, path, body=None):
        answer = self.host.request(method, path, body)
        refusals = "no available", "not connected", "port is already allocated"
        assert answer.status < 500 or any(text in answer.text for text in refusals), (
            "%s %s %r: %r" % (method, path, body, answer))
        return answer

    def network_create(self):
        name = self.fresh("n")
        body = {"Name": name, "EnableIPv6": self.random.random() < 0.4,
                "Internal": self.random.random() < 0.2, "Options": {}}
        if self.random.random() < 0.2:
            body["Options"]["com.docker.network.bridge.enable_icc"] = "false"
        if self.random.random() < 0.2:
            body["Options"]["com.docker.network.bridge.enable_ip_masquerade"] = "false"
        if self.random.random() < 0.2:
            body["Options"]["com.docker.network.bridge.gateway_mode_ipv4"] = "routed"
        if len(self.networks) < 12 and self.call("POST", "/networks/create", body).status == 201:
            self.networks.append(name)

    def network_remove(self):
        if self.networks:
            name = self.random.choice(self.networks)
            if self.call("DELETE", "/networks/" + name).status == 204:
                self.networks.remove(name)

    def ports(self):
        """Given, chosen, a range, of one family; some of them somebody else's."""
        port = self.random.randrange(8000, 8100)
        return self.random.sample([
            {"Protocol": "tcp", "HostFirst": port, "First": 80}, {"Protocol": "tcp", "First": 81},
            {"Protocol": "udp", "HostIp": "::1", "HostFirst": port, "First": 82},
            {"Protocol": "udp", "First": port, "Last": port + 9, "HostFirst": port, "HostLast": port + 9}],
            self.random.randrange(3))

    def sandbox_create(self):
        name = self.fresh("s")
        chosen = self.random.sample(self.networks, min(len(self.networks), self.random.randrange(3)))
        body = {"Name": name, "Networks": [{"Network": n} for n in chosen], "Publish": self.ports()}
        if len(self.sandboxes) < 25 and self.call("POST", "/cnm/v1/sandboxes", body).status == 201:
            self.sandboxes.append(name)

    def sandbox_remove(self):
        if self.sandboxes:
            name = self.random.choice(self.sandboxes)
            if self.call("DELETE", "/cnm/v1/sandboxes/" + name).status == 204:
                self.sandboxes.remove(name)

    def connect(self):
        if self.networks and self.sandboxes:
            body = {"Container": self.random.choice(self.sandboxes), "EndpointConfig": {
                "GwPriority": self.random.randrange(-2, 3)}}
            self.call("POST", "/networks/%s/connect" % self.random.choice(self.networks), body)

    def disconnect(self):
        if self.networks and self.sandboxes:
            self.call("POST", "/networks/%s/disconnect" % self.random.choice(self.networks),
                      {"Container": self.random.choice(self.sandboxes),
                       "Force": self.random.random() < 0.3})

    def endpoint_create(self):
        if self.networks:
            name = self.fresh("e")
            if len(self.endpoints) < 20 and self.call("POST", "/cnm/v1/endpoints", {
                    "Name": name, "Network": self.random.choice(self.networks)}).status == 201:
                self.endpoints.append(name)

    def endpoint_join(self):
        if self.endpoints and self.sandboxes:
            self.call("POST", "/cnm/v1/endpoints/%s/join" % self.random.choice(self.endpoints),
                      {"Sandbox": self.random.choice(self.sandboxes)})

    def endpoint_leave(self):
        if self.endpoints:
            self.call("POST", "/cnm/v1/endpoints/%s/leave" % self.random.choice(self.endpoints))

    def endpoint_remove(self):
        if self.endpoints:
            name = self.random.choice(self.endpoints)
            force = self.random.choice(("", "?force=1"))
            if self.call("DELETE", "/cnm/v1/endpoints/" + name + force).status == 204:
                self.endpoints.remove(name)

    def restart(self):
        if self.random.random() < 0.05:
            self.host.restart(kill=self.random.random() < 0.5)

    def play(self, count):
        moves = [self.network_create, self.network_remove, self.sandbox_create, self.sandbox_remove,
                 self.connect, self.connect, self.disconnect, self.endpoint_create,
                 self.endpoint_join, self.endpoint_leave, self.endpoint_remove, self.restart]
        for _ in range(count):
            self.random.choice(moves)()


def plans(host):
    """What it would take to remove each sandbox and network: the plans of all there is."""
    out = []
    for sandbox in host.get("/cnm/v1/sandboxes"):
        out.append(host.request("DELETE", "/cnm/v1/sandboxes/%s?dry-run=1" % sandbox["Id"]).text)
    for network in host.get("/networks"):
        out.append(host.request("DELETE", "/networks/%s?dry-run=1" % network["Id"]).text)
    return out


def test_random_operations(host):
    seed = int(os.environ.get("CNM_SEED") or random.SystemRandom().randrange(1 << 32))
    print("CNM_SEED=%d" % seed)
    host.compare = False
    player = Player(host, seed)
    for _ in range(10):
        player.play(OPERATIONS // 10)
        assert host.doctor() == [], "CNM_SEED=%d" % seed
    before = host.get("/networks"), host.get("/cnm/v1/sandboxes"), host.get("/cnm/v1/endpoints")
    first = plans(host)
    assert first and first == plans(host)
    host.restart(kill=True)
    assert host.doctor() == [], "CNM_SEED=%d, after kill -9" % seed
    assert before == (host.get("/networks"), host.get("/cnm/v1/sandboxes"),
                      host.get("/cnm/v1/endpoints"))
    assert first == plans(host)
