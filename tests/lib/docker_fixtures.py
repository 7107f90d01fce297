# SPDX-License-Identifier: LGPL-2.1-or-later
"""A pytest plugin: `pytest_plugins = ["docker_fixtures"]`. The fixture `both` is a host with cnmd, which
serves Docker, and dockerd; the tests of a file share it, and each is held to leave nothing behind."""
import os
import sys

import pytest

import containers
import dockerd
import harness
from dockerd import left


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A host with both daemons."""
    host = containers.CnmHost(tmp_path_factory.mktemp("plugin"))
    host.compare = False
    docker = dockerd.Dockerd(host)
    try:
        host.start("--docker-plugin")
        docker.start()
        yield host, docker
    finally:
        if os.path.exists(docker.log_path):
            print(host.log_text()[-6000:], docker.log_text()[-4000:], file=sys.stderr)
        host.close()
    host.check_log()


@pytest.fixture
def both(shared):
    host, docker = shared
    before = left(host)
    yield host, docker
    for name in docker.say("ps", "-aq").split():
        docker.say("rm", "-f", name)
    for name in docker.say("network", "ls", "-q", "--filter", "type=custom").split():
        docker.say("network", "rm", name)
    harness.wait_for(lambda: left(host) == before, lambda: "nothing left: %r, %r" % (left(host), before))
    assert not host.doctor()
