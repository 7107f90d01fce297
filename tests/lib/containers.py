# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests of containers share: clients, and a host that is asked about containers. The fixtures
are in container_fixtures.py."""
import concurrent.futures
import contextlib
import json
import os
import re
import subprocess
import sys

import pytest

import harness
import hijack
import terminal
import truth

cnm_only = pytest.mark.skipif(truth.ASKED, reason="about cnm alone")
SOCKET = "unix:///run/cnm/cnm.sock"
HOLD = ("sleep", "100000")  # a container that stays; it ignores SIGTERM, being process 1
# It ends at SIGTERM, with 143 less what a shell makes of it.
POLITE = ("sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 100000 & wait $!; done")


_pool = concurrent.futures.ThreadPoolExecutor(48)


def words(now, then):
    """What Docker says now, or what 20.10 said."""
    return then if truth.ASKED else now


class Process(subprocess.Popen):
    """One that does not outlive the body of its with, whatever happens there."""

    def __exit__(self, *what):
        if self.poll() is None:
            self.kill()
        return super().__exit__(*what)


class Client:
    """A command as a person types it."""

    def __init__(self, host, name, program):
        self.host, self.name, self.program = host, name, program

    def __repr__(self):
        return self.name

    def __call__(self, *argv, check=None, timeout=harness.DEADLINE, input=None, text=True):
        """check=True insists on success. The output is bytes with text=False."""
        if isinstance(input, str):
            input = input.encode()
        done = subprocess.run(self.argv(*argv), capture_output=True, timeout=timeout, env=self.env,
                              **({"input": input} if input is not None else
                                 {"stdin": subprocess.DEVNULL}))
        # Not by text=True, which would turn a terminal's \r\n into \n.
        out, err = ((done.stdout.decode(), done.stderr.decode()) if text else
                    (done.stdout, done.stderr))
        result = harness.Result((self.name, *argv), done.returncode, out, err)
        assert not harness.SANITIZER.search(done.stderr.decode(errors="replace")), repr(result)
        assert not check or result.rc == 0, repr(result)
        return result

    def argv(self, *argv):
        return self.host.enter(self.program, *argv)

    @property
    def env(self):
        return self.host.environment(DOCKER_HOST=SOCKET)

    def popen(self, *argv, **how):
        return Process(self.argv(*argv), env=self.env, **how)

    def terminal(self, *argv, **how):
        return terminal.Terminal(self.argv(*argv), self.env, **how)

    def run(self, *argv):
        """`run -d`; the id."""
        result = self("run", "-d", *argv, check=True)
        assert re.fullmatch(r"[0-9a-f]{64}\n", result.out), repr(result)
        return result.out.strip()

    def say(self, *argv, **how):
        """What a command that succeeds says."""
        return self(*argv, check=True, **how).out


PROGRAMS = {"docker": harness.docker_client,
            "docker20": lambda: harness.DOCKER_20 if os.path.exists(harness.DOCKER_20) else None,
            "cnm": lambda: harness.program(harness.COMMAND)}


def client_of(host, name):
    if truth.ASKED and name == "cnm":
        pytest.skip("about cnm alone")
    found = PROGRAMS[name]()
    if not found:
        pytest.skip("no stock client: tools/setup test unpacks one")
    return Client(host, name, found)


def fixture_of(*names):
    """The fixture `client` of a file for which not every client makes a difference."""
    @pytest.fixture(params=names)
    def client(request, engine):
        return client_of(engine, request.param)
    return client


class Mixin:
    """What a host is asked about containers."""

    def stream(self, method, target, body=None, **how):
        return hijack.Stream(self.socket_path, method, target, body, **how)

    def later(self, method, path, body=None):
        """A request on its way; called, the returned function waits for its answer."""
        future = _pool.submit(self.request, method, path, body)
        return future.result

    def create(self, name, *cmd, host=None, networking=None, **config):
        """A container by the API; its id."""
        body = {"Image": "busybox", "Cmd": list(cmd) or list(HOLD), "HostConfig": host or {}, **config}
        if networking:
            body["NetworkingConfig"] = {"EndpointsConfig": networking}
        answer = self.request("POST", "/containers/create?name=" + name, body)
        assert answer.status == 201, repr(answer)
        return answer.json["Id"]

    def begin(self, name):
        self.request_ok("POST", "/containers/%s/start" % name)

    def running(self, name, *cmd, **how):
        made = self.create(name, *cmd, **how)
        self.begin(name)
        return made

    def container(self, name):
        answer = self.request("GET", "/containers/%s/json" % name)
        assert answer.status == 200, repr(answer)
        return answer.json

    def status(self, name):
        return self.container(name)["State"]["Status"]

    def await_status(self, name, status):
        harness.wait_for(lambda: self.status(name) == status,
                         lambda: "%s is %s: %r" % (name, status, self.container(name)["State"]))

    def exit_code(self, name):
        """Wait for the end of a container."""
        answer = self.request("POST", "/containers/%s/wait" % name)
        assert answer.status == 200, repr(answer)
        return answer.json["StatusCode"]

    def logged(self, name):
        """(stdout, stderr) of a container without a terminal."""
        with self.stream("GET", "/containers/%s/logs?stdout=1&stderr=1" % name) as stream:
            assert stream.status == 200
            return stream.output()

    def await_logged(self, name, word):
        harness.wait_for(lambda: word in self.logged(name)[0], lambda: "%r is logged: %r" % (
            word, self.logged(name)))

    def pid_of(self, name):
        return self.container(name)["State"]["Pid"]

    def conmon_of(self, name):
        """The pid of the conmon that holds this container."""
        wanted = self.container(name)["Id"]
        found = [pid for pid, line in self.processes()
                 if os.path.basename(line.split()[0]) == "conmon" and wanted in line.split()]
        assert found, "no conmon of %s: %r" % (name, self.processes())
        return found[0]

    def tidy(self):
        """Remove what a test made; busybox:latest stays."""
        self.clear()
        for image in self.request("GET", "/images/json?all=1").json:
            for name in image["RepoTags"] or [image["Id"]]:
                if name != "busybox:latest":
                    self.request("DELETE", "/images/%s?force=1" % (
                        image["Id"] if name == "<none>:<none>" else name))


class CnmHost(Mixin, harness.Host):
    pass


class DockerHost(Mixin, truth.TrueHost):
    def clear(self):
        self.clear_containers()
        for network in self.request("GET", "/networks").json:
            if network["Name"] not in harness.PREDEFINED:
                self.request_ok("DELETE", "/networks/" + network["Id"])


def _make(folder, runtime=None):
    return DockerHost(folder) if truth.ASKED else CnmHost(folder, runtime)


@contextlib.contextmanager
def host_with_containers(request, folder, *options, runtime=None, **how):
    """A host that has made its image and run a container once, held to leave nothing more behind."""
    made = _make(folder, runtime)
    failed = request.session.testsfailed
    try:
        made.compare = False
        made.start(*options, **how)
        made.running("first", "true")
        made.exit_code("first")
        made.tidy()
        made.wait_healed()
        baseline = made.dump()
        yield made
        if request.session.testsfailed == failed:
            made.finish(baseline)
    finally:
        if request.session.testsfailed != failed and os.path.exists(made.log_path):
            print(made.log_text()[-8000:], file=sys.stderr)
        made.close()
    made.check_log()


def descriptors(engine):
    """What the daemon has open; one that is closed meanwhile does not count."""
    out = []
    for fd in os.listdir("/proc/%d/fd" % engine.daemon.pid):
        with contextlib.suppress(FileNotFoundError):
            out.append(os.readlink("/proc/%d/fd/%s" % (engine.daemon.pid, fd)))
    return out


def json_lines(text):
    return [json.loads(line) for line in text.splitlines() if line.strip()]
