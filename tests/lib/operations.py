# SPDX-License-Identifier: LGPL-2.1-or-later
"""The operations that are interrupted and made to fail at every step, each with the state it
starts from. Everything is named and addressed, so that a run differs from another in ids only."""

NET = {"Name": "net", "EnableIPv6": True, "IPAM": {"Config": [
    {"Subnet": "10.77.0.0/24"}, {"Subnet": "fd00:77::/64"}]}}
OTHER = {"Name": "other", "IPAM": {"Config": [{"Subnet": "10.78.0.0/24"}]}}


def _on(network, four, six=None):
    config = {"IPv4Address": four}
    if six:
        config["IPv6Address"] = six
    return {"Network": network, "EndpointConfig": {"IPAMConfig": config}}


# Published by translation, one by one and as a range, and by the proxy.
PORTS = {"Confined": True, "Publish": [
    {"Protocol": "tcp", "HostFirst": 8080, "First": 80}, {"Protocol": "tcp", "HostIp": "::1", "HostFirst": 8081, "First": 81},
    {"Protocol": "udp", "HostFirst": 9000, "HostLast": 9009, "First": 9000, "Last": 9009}]}
ON_NET = _on("net", "10.77.0.9", "fd00:77::9")
ON_OTHER = _on("other", "10.78.0.9")


def _networks(host):
    host.request_ok("POST", "/networks/create", NET)
    host.request_ok("POST", "/networks/create", OTHER)


def _sandbox(*networks):
    def prepare(host):
        _networks(host)
        host.request_ok("POST", "/cnm/v1/sandboxes", {"Name": "con", "Networks": list(networks), **PORTS})
    return prepare


def _joined(host):
    _sandbox()(host)
    host.request_ok("POST", "/cnm/v1/endpoints", {"Name": "ep", **ON_NET})
    host.request_ok("POST", "/cnm/v1/endpoints/ep/join", {"Sandbox": "con"})


OPERATIONS = {
    "network create": (lambda host: None, ("POST", "/networks/create", NET)),
    "network rm": (_networks, ("DELETE", "/networks/net", None)),
    "sandbox create": (_networks, ("POST", "/cnm/v1/sandboxes", {
        "Name": "con", "Networks": [ON_NET, ON_OTHER], **PORTS})),
    "sandbox rm": (_sandbox(ON_NET, ON_OTHER), ("DELETE", "/cnm/v1/sandboxes/con", None)),
    "connect": (_sandbox(ON_OTHER), ("POST", "/networks/net/connect", {
        "Container": "con", "EndpointConfig": ON_NET["EndpointConfig"]})),
    "disconnect": (_sandbox(ON_OTHER, ON_NET), ("POST", "/networks/net/disconnect", {
        "Container": "con"})),
    "leave": (_joined, ("POST", "/cnm/v1/endpoints/ep/leave", None)),
}
