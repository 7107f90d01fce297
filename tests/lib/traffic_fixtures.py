# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests of a file share one host (`shared_host`); each finds it empty and leaves it so (`host`, which
stands for the one of conftest.py, and so has to be imported into the file: that of a plugin would give
way to it). `services` answer, see traffic.py. Refused requests are compared only where a test asks for
it (traffic.unchanged)."""
import pytest

import traffic


@pytest.fixture(scope="module")
def shared_host(request, tmp_path_factory):
    with traffic.host_of_a_file(request, tmp_path_factory.mktemp("host")) as host:
        yield host


@pytest.fixture
def host(shared_host):
    if not shared_host.daemon:
        shared_host.start()
    yield shared_host
    if not shared_host.daemon:
        shared_host.start()
    shared_host.clear()


@pytest.fixture
def services():
    made = traffic.Services()
    yield made
    made.close()
