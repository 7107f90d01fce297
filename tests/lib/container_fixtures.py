# SPDX-License-Identifier: LGPL-2.1-or-later
"""A pytest plugin: `pytest_plugins = ["container_fixtures"]`.

A host costs more than a container, so the tests of a file share one, and each ends with all it made
removed (`engine`). The end of the file holds the host to having nothing left, as the fixture `host`
does. `client` is each of the three commands in turn; `stock` the docker client on the PATH, `cnm` ours.
"""
import pytest

from containers import PROGRAMS, client_of, fixture_of, host_with_containers


@pytest.fixture(scope="module")
def shared_engine(request, tmp_path_factory):
    with host_with_containers(request, tmp_path_factory.mktemp("host")) as host:
        yield host


@pytest.fixture
def engine(shared_engine):
    """The file's host. A test that needs it as new removes what it made by itself."""
    if not shared_engine.daemon:
        shared_engine.start()
    yield shared_engine
    if not shared_engine.daemon:
        shared_engine.start()
    shared_engine.tidy()


client = fixture_of(*PROGRAMS)


@pytest.fixture
def stock(engine):
    return client_of(engine, "docker")


@pytest.fixture
def cnm(engine):
    return client_of(engine, "cnm")
