# SPDX-License-Identifier: LGPL-2.1-or-later
"""cnmd is killed again and again while Docker's containers come and go on its networks."""
import concurrent.futures
import random
import time

import pytest

import harness
from dockerd import ENDPOINT, NETWORK, ok

pytest_plugins = ["docker_fixtures"]
pytestmark = pytest.mark.xdist_group("docker-plugin-crash")


@pytest.mark.parametrize("ipam", [(), ("--ipam-driver", "cnm")], ids=["own-ipam", "cnm-ipam"])
def test_at_any_instant(both, ipam):
    """A command whose call was cut off may fail, and says so; the next one succeeds. In the end there is
    what Docker has, and no more."""
    host, docker = both
    docker.say("network", "create", "-d", "cnm", *ipam, "blue")
    docker.run("con0", "blue")
    random.seed(7)

    def run():
        result = docker("run", "-d", "--stop-signal", "KILL", "--name", "con1", "--network", "blue", "-p", "80",
                        "busybox", "sleep", "100000")
        assert result.rc == 0 or "try again" in result.err, repr(result)
        return result.rc == 0

    def work():
        for _ in range(6):
            while not run():
                docker("rm", "-f", "con1")
            assert docker.reaches("con1", "con0")
            docker.say("rm", "-f", "con1")

    with concurrent.futures.ThreadPoolExecutor() as pool:
        done = pool.submit(work)
        while not done.done():
            time.sleep(random.random() / 2)  # at any instant
            host.restart(kill=True)
        done.result()
    harness.wait_for(lambda: len(host.get("/cnm/v1/sandboxes")) == len(host.get("/cnm/v1/endpoints")) == 1,
                     lambda: "one is left: %r" % host.get("/cnm/v1/endpoints"), timeout=100 * harness.SLOW)


def test_a_call_that_did_not_arrive(both):
    """DeleteEndpoint, that is: dockerd goes on to the next one, and what the call was about goes later."""
    host, _ = both
    mac = "02:42:00:00:00:07"
    ok(host, "NetworkDriver.CreateNetwork", {"NetworkID": NETWORK, "IPv4Data": [{"Pool": "10.70.0.0/24"}]})
    address = ok(host, "IpamDriver.RequestAddress", {
        "PoolID": "10.70.0.0/24", "Options": {"com.docker.network.endpoint.macaddress": mac}})["Address"]
    ok(host, "NetworkDriver.CreateEndpoint", {"NetworkID": NETWORK, "EndpointID": ENDPOINT,
                                              "Interface": {"Address": address, "MacAddress": mac}})
    ok(host, "IpamDriver.ReleaseAddress", {"PoolID": "10.70.0.0/24", "Address": address.split("/")[0]})
    assert not host.get("/cnm/v1/endpoints")
    assert len(host.get("/cnm/v1/sandboxes")) == 1
    harness.wait_for(lambda: not host.get("/cnm/v1/sandboxes"), "it goes", timeout=100 * harness.SLOW)
    ok(host, "NetworkDriver.DeleteNetwork", {"NetworkID": NETWORK})
