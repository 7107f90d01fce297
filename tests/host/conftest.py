# SPDX-License-Identifier: LGPL-2.1-or-later
"""The fixture `host`: each test gets a host of its own (tests/lib/harness.py) with cnmd running on
it, and is held to leave nothing behind."""
import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import harness  # noqa: E402
import steps  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "daemon(*options, env): how the fixture starts cnmd")
    config.addinivalue_line("markers", "concurrent: also run under ThreadSanitizer")
    config.addinivalue_line("markers", "steps: crash and failure at every step")
    config.addinivalue_line("markers", "cluster: long faults of stores and hosts, left out unless asked for")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call":
        item.passed = report.passed


@pytest.fixture
def bare_host(request, tmp_path):
    """A host without a daemon; nothing is checked at the end but that everything can be ended."""
    made = harness.Host(tmp_path)
    yield made
    if not getattr(request.node, "passed", False) and os.path.exists(made.log_path):
        print(made.log_text()[-8000:], file=sys.stderr)
    made.close()
    made.check_log()


@pytest.fixture
def host(request, bare_host):
    mark = request.node.get_closest_marker("daemon")
    bare_host.start(*(mark.args if mark else ()), **(mark.kwargs if mark else {}))
    bare_host.wait_healed()
    baseline = bare_host.dump()
    yield bare_host
    if getattr(request.node, "passed", False):
        bare_host.finish(baseline)


@pytest.fixture
def stepped(bare_host):
    """A host whose daemon counts its steps (tests/lib/steps.py)."""
    bare_host.compare = False
    bare_host.steps = steps.Steps(bare_host.folder)
    bare_host.start(env=bare_host.steps.environment, binary=harness.program(steps.BINARY))
    bare_host.wait_healed()
    yield bare_host


@pytest.fixture
def docker(host):
    if not harness.docker_client():
        pytest.skip("no stock client: neither in PATH nor in build/debs (tools/setup test gets it)")
    assert subprocess.run([harness.docker_client(), "--version"], capture_output=True).returncode == 0
    return host.docker


def pytest_terminal_summary(terminalreporter):
    lines = [value for reports in terminalreporter.stats.values() for report in reports
             for name, value in getattr(report, "user_properties", ())
             if name == "count" and report.when == "call"]
    if lines:
        terminalreporter.section("steps")
        for line in sorted(lines):
            terminalreporter.write_line(line)


# Their tests share a host, which is made once if one worker has them all (--dist loadgroup).
SHARED = ("test_antispoof", "test_dns_command", "test_links", "test_mtu", "test_networks_api", "test_order", "test_ports", "test_traffic")


def pytest_collection_modifyitems(items):
    for item in items:
        name = item.module.__name__
        if name.startswith(SHARED):
            item.add_marker(pytest.mark.xdist_group(name + ("-1" if "bridge-nf-1" in item.name else "")))
