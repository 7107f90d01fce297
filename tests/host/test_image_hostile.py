# SPDX-License-Identifier: LGPL-2.1-or-later
"""Archives that mean harm: nothing of them gets out of the image's own tree, what is too much is
refused, and nothing of a refused one is left."""
import gzip
import io
import json
import os
import socket
import tarfile

import pytest

import archives
import containers
import harness
import machine
from archives import entry, folder, hard_link, link

pytest_plugins = ["container_fixtures"]
# Docker's own daemon unpacks some of these, within its root; what counts for it is checked above.
pytestmark = containers.cnm_only
BASE = archives.busybox_entries()


@pytest.fixture
def outside(engine, tmp_path):
    """A folder of the machine that the archives are after; it stays as it is."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text("secret\n")
    before = state(engine)
    yield str(folder)
    assert sorted(os.listdir(folder)) == ["secret"] and (folder / "secret").read_text() == "secret\n"
    engine.tidy()
    changed = harness.dump.difference(before, state(engine))
    assert not changed, "something is left:\n" + changed


def state(engine):
    """What an image could leave; the rest is looked at when the file is through."""
    return {"files": harness.dump.files(engine.root, ["/var/lib/cnm"]), "mounts": harness.dump.mounts(engine.pid)}


def unfinished(engine):
    return [name for name in os.listdir(engine.root + "/var/lib/cnm/images") if name.startswith("tmp")]


def load(engine, archive, path="/images/load", timeout=2 * harness.DEADLINE):
    """What the daemon says of it; None if it takes it."""
    answer = engine.request("POST", path, archive, {"Content-Type": "application/x-tar"}, timeout=timeout)
    if answer.status != 200:
        return answer.message
    lines = containers.json_lines(answer.text)
    errors = [line["error"] for line in lines if "error" in line]
    assert all(line["errorDetail"]["message"] for line in lines if "error" in line), lines
    return errors[0] if errors else None


def escapes(out):
    up = "../" * 20
    return {
        "dots": [entry(up + out[1:] + "/made", data=b"x")],
        "dots in the middle": [entry("etc/" + up + out[1:] + "/made", data=b"x")],
        "absolute": [entry(out + "/made", data=b"x")],
        "over an absolute link": [link("way", out), entry("way/made", data=b"x")],
        "over a relative link": [link("way", up + out[1:]), entry("way/made", data=b"x")],
        "over two links": [link("a", "b"), link("b", out), entry("a/made", data=b"x")],
        "link, then folder": [link("way", out), folder("way"), entry("way/made", data=b"x")],
        "hard link to a file outside": [hard_link("got", out + "/secret"), entry("got", data=b"changed")],
        "hard link by dots": [hard_link("got", up + out[1:] + "/secret")],
        "hard link over a link": [link("way", out), hard_link("got", "way/secret")],
        "hard link to a link": [link("way", out + "/secret"), hard_link("two", "way"), entry("two", data=b"changed")],
        "whiteout of dots": [entry("etc/.wh..."), entry("etc/.wh..")],
        "whiteout over a link": [link("way", out), entry("way/.wh.secret")],
        "whiteout of everything over a link": [link("way", out), entry("way/.wh..wh..opq")],
        "the root itself": [link(".", out), entry("./made", data=b"x")],
        "the root is a link": [link("./", out)],
    }


@pytest.mark.parametrize("case", escapes("/x"))
@pytest.mark.parametrize("layered", [False, True], ids=["one layer", "two layers"])
def test_escape(engine, outside, case, layered):
    """Refused, or carried out within the tree; `outside` sees to the rest."""
    entries = escapes(outside)[case]
    layers = [archives.tar(*BASE, *entries[:1]), archives.tar(*entries[1:])] if layered else [
        archives.tar(*BASE, *entries)]
    said = load(engine, archives.docker_archive(layers))
    if said is None:
        client = containers.client_of(engine, "cnm")
        shown = client("run", "--rm", "hand", "cat", "/got", "/two", "/way/secret", outside + "/secret")
        assert "secret\n" not in shown.out, repr(shown)


@pytest.mark.parametrize("case", escapes("/x"))
def test_escape_by_import(engine, outside, case):
    said = load(engine, archives.tar(*BASE, *escapes(outside)[case]), "/images/create?fromSrc=-&repo=hand")
    if said is None:
        shown = containers.client_of(engine, "cnm")("run", "--rm", "hand", "cat", "/got", "/two", "/way/secret")
        assert "secret\n" not in shown.out, repr(shown)


def outer(**files):
    return archives.tar(*[entry(name, data=data) for name, data in files.items()])


def deep(n=200000):
    return b"[" * n + b"]" * n


LAYER = archives.tar(*BASE)
GOOD = archives.docker_archive([LAYER])
MANIFEST = {"Config": "config.json", "RepoTags": ["hand:latest"], "Layers": ["0/layer.tar"]}


def broken():
    def manifest(**changes):
        return json.dumps([dict(MANIFEST, **changes)]).encode()
    out = {
        "empty": b"", "no tar": b"no tar at all" * 100, "zeros": bytes(10240), "no manifest": outer(other=b"x"),
        "deep manifest": archives.docker_archive([LAYER], manifest=deep()),
        "deep configuration": archives.docker_archive([LAYER], raw_config=deep()),
        "manifest is no list": archives.docker_archive([LAYER], manifest=b"{}"),
        "manifest is empty": archives.docker_archive([LAYER], manifest=b"[]"),
        "manifest has nulls": archives.docker_archive([LAYER], manifest=b"[null]"),
        "configuration is no object": archives.docker_archive([LAYER], raw_config=b"[1]"),
        "configuration has wrong types": archives.docker_archive([LAYER], config={"Cmd": 5, "Env": {"a": 1}, "User": []}),
        "configuration outside": archives.docker_archive([LAYER], manifest=manifest(Config="../../../../etc/passwd")),
        "layer outside": archives.docker_archive([LAYER], manifest=manifest(Layers=["/etc/passwd"])),
        "layer is missing": archives.docker_archive([LAYER], manifest=manifest(Layers=["9/layer.tar"])),
        "more layers than it has": archives.docker_archive([LAYER], manifest=manifest(Layers=["0/layer.tar"] * 3)),
        "name is nonsense": archives.docker_archive([LAYER], tags=("../../x:..",)),
        "name is long": archives.docker_archive([LAYER], tags=("a" * 5000 + ":latest",)),
        "digest is wrong": archives.docker_archive([LAYER], raw_config=archives.configuration([LAYER + b"x"])),
        "layer is no tar": archives.docker_archive([b"no tar" * 200]),
        "layer is a link": archives.tar(entry("manifest.json", data=manifest()), entry(
            "config.json", data=archives.configuration([LAYER])), link("0/layer.tar", "/etc/passwd")),
        "manifest is a link": archives.tar(link("manifest.json", "/etc/passwd")),
        "oci index outside": archives.tar(entry("oci-layout", data=b'{"imageLayoutVersion":"1.0.0"}'), entry(
            "index.json", data=json.dumps({"schemaVersion": 2, "manifests": [{
                "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 5,
                "digest": "sha256:../../../../etc/passwd"}]}).encode())),
        "device": archives.docker_archive([archives.tar(*BASE, entry("x" * 5000, data=b"name too long"))]),
    }
    for part in (1, 2, 3, 5):
        out["cut at %d tenths" % part] = GOOD[:len(GOOD) * part // 10]
    packed = gzip.compress(GOOD)
    out["cut gzip"] = packed[:len(packed) // 2]
    out["broken gzip"] = packed[:1000] + b"\xff" * 100 + packed[1100:]
    return out


@pytest.mark.parametrize("case", broken())
def test_broken(engine, outside, case):
    """Refused with a reason, the daemon goes on, and `outside` finds nothing of it."""
    said = load(engine, broken()[case])
    assert said, "it was taken"
    assert engine.request("GET", "/images/hand/json").status == 404
    assert engine.request("GET", "/_ping").status == 200


def test_devices_are_no_way_out(engine, outside):
    """A device in the image is there, if at all, without being usable."""
    node = tarfile.TarInfo("disk")
    node.type, node.devmajor, node.devminor, node.mode = tarfile.BLKTYPE, 8, 0, 0o666
    said = load(engine, archives.docker_archive([archives.tar(*BASE, (node, b""))]))
    if said is None:
        shown = containers.client_of(engine, "cnm")("run", "--rm", "hand", "cat", "/disk")
        assert shown.rc != 0


def test_setuid_is_kept_and_of_no_use_beyond(engine, outside):
    setuid = [entry("bin/su-cat", data=BASE[1][1], mode=0o4755)]
    assert load(engine, archives.docker_archive([archives.tar(*BASE, *setuid)])) is None
    shown = containers.client_of(engine, "cnm")("run", "--rm", "-u", "1000", "hand", "cat", "/etc/passwd")
    assert shown.rc == 0


def test_bomb(engine, outside):
    """What unpacks to more than there is room for ends with that, and the room comes back."""
    bomb = gzip.compress(bytes(1 << 20) * 256, 9)  # 256 MiB in 256 KiB
    blob = io.BytesIO()
    with tarfile.open(fileobj=blob, mode="w") as tar:
        info = tarfile.TarInfo("big")
        info.size = 256 << 20
        tar.addfile(info, gzip.open(io.BytesIO(bomb)))
    archive = gzip.compress(archives.docker_archive([blob.getvalue()]), 9)
    with machine.full_disk(engine, spare=64 << 20):
        said = load(engine, archive)
        assert said and "space" in said.lower(), said
        assert engine.request("GET", "/_ping").status == 200


def test_a_size_that_lies(engine, outside):
    """The header says a terabyte, and there is no more than a block."""
    info, data = entry("big", data=b"", size=1 << 40)
    raw = info.tobuf(tarfile.GNU_FORMAT) + bytes(10240)
    assert load(engine, raw)
    assert load(engine, archives.docker_archive([info.tobuf(tarfile.GNU_FORMAT) + bytes(10240)]))


def test_very_many_files(engine, outside):
    """Empty ones, in one layer: it takes them or refuses, in time, and can remove them."""
    layer = archives.tar(*BASE, *[entry("many/%d" % i) for i in range(20000)])
    assert load(engine, archives.docker_archive([layer])) is None
    assert engine.request("DELETE", "/images/hand").status == 200


def test_very_many_layers(engine, outside):
    layers = [archives.tar(*BASE)] + [archives.tar(entry("f%d" % i, data=b"x")) for i in range(300)]
    said = load(engine, archives.docker_archive(layers))
    assert said and "Layers" in said and "at most" in said


def test_a_client_that_goes_in_the_middle(engine, outside):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(engine.socket_path)
        sock.sendall(b"POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(GOOD) + GOOD[:len(GOOD) // 2])
    harness.wait_for(lambda: not unfinished(engine), "the half of it is gone")
    assert engine.request("GET", "/images/hand/json").status == 404


def test_the_daemon_is_killed_in_the_middle(engine, outside):
    layer = archives.tar(*BASE, *[entry("many/%d" % i) for i in range(5000)])
    pending = engine.later("POST", "/images/load", archives.docker_archive([layer]))
    harness.wait_for(lambda: unfinished(engine), "it is begun")
    engine.kill9()
    with pytest.raises(Exception):
        pending()
    engine.start()
    if engine.request("GET", "/images/hand/json").status == 404:
        assert load(engine, archives.docker_archive([layer])) is None
