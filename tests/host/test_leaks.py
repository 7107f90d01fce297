# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon and its keeper do not grow with what has come and gone."""
import contextlib
import os

import harness


def real_pid(host, word):
    return next(pid for pid, line in host.processes()
                if os.path.basename(line.split()[0]) == word)


def descriptors(pid):
    """What the process has open; one that is closed meanwhile does not count."""
    out = []
    for fd in os.listdir("/proc/%d/fd" % pid):
        with contextlib.suppress(FileNotFoundError):
            out.append(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
    return out


def threads(pid):
    return len(os.listdir("/proc/%d/task" % pid))


def round_trip(host):
    host.network("net", EnableIPv6=True)
    host.sandbox("a", "net")
    host.sandbox("b", "net")
    host.disconnect("net", "a")
    host.connect("net", "a")
    host.api("POST", "/networks/net/connect", {"Container": "a"})
    host.api("POST", "/networks/create", {"Name": "net"})
    for name in ("a", "b"):
        host.remove_sandbox(name)
    host.remove_network("net")


def test_descriptors_and_threads(host):
    host.compare = False
    daemon, keeper = real_pid(host, "cnmd"), real_pid(host, "cnm-keeper")
    for _ in range(5):
        round_trip(host)
    host.doctor()

    def counts():
        return (len(descriptors(daemon)), threads(daemon), len(descriptors(keeper)))
    before = counts()
    for _ in range(30):
        round_trip(host)
    harness.wait_for(lambda: all(now <= then + 2 for now, then in zip(counts(), before)),
                     lambda: "no more descriptors or threads than before: %r, now %r" % (
                         before, counts()))


def test_kernel_namespaces_come_to_an_end(host):
    """Only what the pool holds ready stays: counted by the daemon's own descriptors."""
    host.compare = False
    daemon = real_pid(host, "cnmd")
    for _ in range(3):
        round_trip(host)

    def held():
        return len({target for target in descriptors(daemon) if target.startswith("net:")})
    before = held()
    for _ in range(10):
        round_trip(host)
    harness.wait_for(lambda: held() <= before + 1, lambda: "%d namespaces held, then %d" % (before, held()))


def test_refused_requests_leak_nothing(host):
    host.compare = False
    daemon = real_pid(host, "cnmd")
    bodies = [b"", b"{", b'{"Name":"bridge"}', b'{"Name":"x","Driver":"host"}',
              b'{"Name":"x","IPAM":{"Config":[{"Subnet":"1.2.3.4/8"}]}}']

    def attempt():
        for body in bodies:
            assert host.request("POST", "/networks/create", body, {
                "Content-Type": "application/json"}).status >= 400
    attempt()
    before = len(descriptors(daemon))
    for _ in range(100):
        attempt()
    harness.wait_for(lambda: len(descriptors(daemon)) <= before + 2, "no more descriptors than before")
