# SPDX-License-Identifier: LGPL-2.1-or-later
"""Images: loaded, saved, imported, tagged, listed, inspected, removed; and busybox, which is there."""
import gzip
import io
import json
import re
import tarfile

import pytest

import archives
import containers
import harness
import hijack
from containers import words

pytest_plugins = ["container_fixtures"]
client = containers.fixture_of("docker", "cnm")
LAYERS = [archives.tar(*archives.busybox_entries()),
          archives.tar(archives.entry("etc/second", data=b"second layer\n", mode=0o644))]


def names(engine):
    return sorted(name for image in engine.request("GET", "/images/json").json for name in image["RepoTags"] or [])


@pytest.fixture
def hand(engine, stock, tmp_path):
    """An image made by hand, loaded."""
    path = tmp_path / "hand.tar"
    path.write_bytes(archives.docker_archive(LAYERS, config={
        "Cmd": ["cat", "/etc/second"], "Env": ["PATH=/bin", "FROM=image"], "Labels": {"by": "hand"}, "WorkingDir": "/tmp"}))
    stock("load", "-i", str(path), check=True)
    return archives.image_id(LAYERS, {
        "Cmd": ["cat", "/etc/second"], "Env": ["PATH=/bin", "FROM=image"], "Labels": {"by": "hand"}, "WorkingDir": "/tmp"})


@pytest.mark.parametrize("kind", ["docker", "docker-gzip", "oci"])
def test_load_and_run(engine, client, tmp_path, kind):
    if kind == "oci" and containers.truth.ASKED:
        pytest.skip("20.10 does not load OCI archives")
    path = tmp_path / "image.tar"
    archive = archives.oci_archive(LAYERS) if kind == "oci" else archives.docker_archive(LAYERS)
    path.write_bytes(gzip.compress(archive) if kind == "docker-gzip" else archive)
    assert "Loaded image: hand:latest" in client.say("load", "-i", str(path))
    assert client.say("run", "--rm", "hand", "cat", "/etc/second") == "second layer\n"
    assert engine.request("GET", "/images/hand/json").json["Id"] == archives.image_id(LAYERS)


def test_load_from_stdin(engine, client):
    result = client("load", input=archives.docker_archive(LAYERS, tags=("one:1", "two:2")))
    assert result.rc == 0 and {"one:1", "two:2"} <= set(names(engine)), repr(result)


def test_load_without_a_name(engine, client):
    result = client("load", input=archives.docker_archive(LAYERS, tags=()))
    assert result.rc == 0 and "Loaded image ID: " + archives.image_id(LAYERS) in result.out


def test_loaded_twice_is_one(engine, client, hand):
    before = engine.request("GET", "/images/json").json
    client("load", input=archives.docker_archive(LAYERS, tags=("hand:latest",), config={
        "Cmd": ["cat", "/etc/second"], "Env": ["PATH=/bin", "FROM=image"], "Labels": {"by": "hand"}, "WorkingDir": "/tmp"}), check=True)
    assert [i["Id"] for i in engine.request("GET", "/images/json").json] == [i["Id"] for i in before]


def test_a_name_moves_to_another_image(engine, client, hand):
    client("load", input=archives.docker_archive(LAYERS[:1]), check=True)
    assert engine.request("GET", "/images/hand/json").json["Id"] == archives.image_id(LAYERS[:1])
    old = engine.request("GET", "/images/%s/json" % hand)
    assert old.status == 200 and old.json["RepoTags"] == []
    assert hand[7:19] in client.say("images", "-f", "dangling=true", "-q")


def test_the_images_own_configuration(client, hand):
    assert client.say("run", "--rm", "hand") == "second layer\n"
    shown = client.say("run", "--rm", "-e", "MORE=1", "hand", "env").splitlines()
    assert {"PATH=/bin", "FROM=image", "MORE=1"} <= set(shown)
    assert client.say("run", "--rm", "hand", "sh", "-c", "pwd") == "/tmp\n"


def test_deleted_by_a_layer(client):
    layers = [LAYERS[0], LAYERS[1], archives.tar(archives.entry("etc/.wh.second"), archives.folder("opq"),
                                                 archives.entry("opq/.wh..wh..opq"))]
    client("load", input=archives.docker_archive(layers), check=True)
    assert client("run", "--rm", "hand", "cat", "/etc/second").rc == 1
    assert client.say("run", "--rm", "hand", "ls", "-A", "/opq") == ""


def test_save_and_load_again(engine, client, tmp_path, hand):
    path = tmp_path / "saved.tar"
    client("tag", "hand", "other:1", check=True)
    client("save", "-o", str(path), "hand", "other:1", check=True)
    with tarfile.open(path) as saved:
        manifest, = json.load(saved.extractfile("manifest.json"))
        assert sorted(manifest["RepoTags"]) == ["hand:latest", "other:1"] and len(manifest["Layers"]) == 2
    client("rmi", "hand", "other:1", check=True)
    assert names(engine) == ["busybox:latest"]
    client("load", "-i", str(path), check=True)
    assert {"hand:latest", "other:1"} <= set(names(engine))
    assert engine.request("GET", "/images/hand/json").json["Id"] == hand
    assert client.say("run", "--rm", "hand") == "second layer\n"


def test_save_to_stdout(client, hand):
    saved = client("save", "hand", text=False)
    assert saved.rc == 0
    with tarfile.open(fileobj=io.BytesIO(saved.out)) as archive:
        assert "manifest.json" in archive.getnames()


def test_busybox_saved_and_loaded_is_the_same(engine, client):
    before = engine.request("GET", "/images/busybox/json").json["Id"]
    saved = client("save", "busybox", text=False)
    client("load", input=saved.out, check=True)
    assert engine.request("GET", "/images/busybox/json").json["Id"] == before


def test_save_of_nothing(client, tmp_path):
    missing = client("save", "-o", str(tmp_path / "never-made.tar"), "nosuch")
    assert missing.rc == 1 and "nosuch" in missing.err


def test_import(engine, client, tmp_path):
    path = tmp_path / "root.tar"
    path.write_bytes(archives.tar(*archives.busybox_entries()))
    made = client.say("import", "-c", 'CMD ["echo", "imported"]', "-c", "ENV A=b", "-m", "why", str(path), "fresh:1").strip()
    assert re.fullmatch("sha256:[0-9a-f]{64}", made)
    shown = engine.request("GET", "/images/fresh:1/json").json
    assert shown["Id"] == made and shown["Config"]["Cmd"] == ["echo", "imported"] and "A=b" in shown["Config"]["Env"]
    assert client.say("run", "--rm", "fresh:1") == "imported\n"
    assert client.say("import", "-", input=archives.tar(*archives.busybox_entries())).startswith("sha256:")


def test_tag_and_rmi(engine, client, hand):
    client("tag", "hand", "local/other:2", check=True)
    assert names(engine) == ["busybox:latest", "hand:latest", "local/other:2"]
    assert client.say("rmi", "hand") == "Untagged: hand:latest\n"
    gone = client.say("rmi", "local/other:2").splitlines()
    assert gone[0] == "Untagged: local/other:2" and "Deleted: " + hand in gone
    missing = client("rmi", "hand")
    assert missing.rc == 1 and "No such image: hand" in missing.err
    refused = client("tag", "nosuch", "x:1")
    assert refused.rc == 1 and "No such image: nosuch" in refused.err
    refused = client("tag", "busybox", "Upper:1")
    assert refused.rc == 1


def test_rmi_of_what_is_used(engine, client, hand):
    made = engine.running("con", "sh", "-c", "read x", Image="hand", OpenStdin=True)
    refused = client("rmi", "hand")
    assert refused.rc == 1 and "conflict: unable to remove repository reference" in refused.err
    assert "container %s is using its referenced image" % made[:12] in refused.err
    forced = client("rmi", "-f", hand)
    assert forced.rc == 1 and re.search("cannot be forced.*image is being used by running container %s" % made[:12], forced.err)
    assert engine.status("con") == "running"
    client("rm", "-f", "con", check=True)
    client("rmi", "hand", check=True)


def test_the_root_of_an_image_is_never_changed(client, hand):
    client("run", "--rm", "hand", "sh", "-c", "echo changed >/etc/second", check=True)
    assert client.say("run", "--rm", "hand") == "second layer\n"


def test_list(engine, client, hand):
    lines = client.say("images").splitlines()
    rows = {line.split()[0]: line.split() for line in lines[1:]}
    assert set(rows) == {"busybox", "hand"} and rows["hand"][1:3] == ["latest", hand[7:19]]
    assert client.say("images", "-q", "hand").split() == [hand[7:19]]
    assert client.say("images", "--no-trunc", "-q", "hand").split() == [hand]
    assert client.say("images", "--format", "{{.Repository}}:{{.Tag}}", "-f", "label=by=hand").split() == ["hand:latest"]
    assert client.say("images", "--format", "{{.Repository}}", "-f", "reference=ha*").split() == ["hand"]
    listed = {i["Id"]: i for i in engine.request("GET", "/images/json").json}[hand]
    assert listed["RepoTags"] == ["hand:latest"] and listed["Size"] > 100000 and listed["Labels"] == {"by": "hand"}
    assert listed["Created"] == 1767323045
    answer = engine.request("GET", "/images/json?filters=" + hijack.quote({"nonsense": ["x"]}))
    assert answer.status == 400 and "nvalid filter" in answer.message


def test_inspect(engine, client, hand):
    shown, = json.loads(client.say("image", "inspect", "hand"))
    assert shown["Id"] == hand and shown["RepoTags"] == ["hand:latest"] and shown["Os"] == "linux"
    assert shown["Config"]["Cmd"] == ["cat", "/etc/second"] and shown["Created"] == "2026-01-02T03:04:05Z"
    assert shown["RootFS"]["Layers"] == ["sha256:" + archives.digest(layer) for layer in LAYERS]
    for ref in (hand, hand[7:], hand[7:19], "hand:latest", "docker.io/library/hand"):
        assert engine.request("GET", "/images/%s/json" % ref).json["Id"] == hand, ref
    missing = client("image", "inspect", "nosuch")
    assert missing.rc == 1 and "No such image: nosuch" in missing.err


def test_history(client, hand):
    shown = client.say("history", "--format", "{{.CreatedBy}}", "hand").splitlines()
    assert shown == ["by hand", "by hand"]


def test_a_missing_image_is_not_invented(engine, client):
    result = client("run", "--rm", "nosuch.invalid/image:1", "true")
    assert result.rc == 125 and "nosuch.invalid/image" in result.err
    assert engine.request("POST", "/containers/create", {"Image": "nosuch"}).status == 404
    pulled = engine.request("POST", "/images/create?fromImage=nosuch.invalid/image&tag=1", timeout=2 * harness.DEADLINE)
    assert pulled.status in words((404,), (404, 500)) and "nosuch.invalid" in pulled.message


def test_busybox(engine, client):
    shown = engine.request("GET", "/images/busybox:latest/json").json
    assert shown["Config"]["Cmd"] == ["sh"] and shown["RepoTags"] == ["busybox:latest"]
    assert client.say("run", "--rm", "busybox", "sh", "-c", "ls / | tr '\\n' ' '; id -un; test -k /tmp; echo $?").endswith("root\n0\n")


@containers.cnm_only
def test_busybox_is_made_again_when_it_was_removed(engine, cnm):
    before = engine.request("GET", "/images/busybox/json").json["Id"]
    cnm("rmi", "busybox", check=True)
    assert names(engine) == []
    assert cnm("run", "--rm", "busybox", "true").rc == 0
    assert engine.request("GET", "/images/busybox/json").json["Id"] == before


def test_images_outlive_the_daemon(engine, stock, hand):
    before = engine.request("GET", "/images/json").json
    engine.restart(kill=True)
    assert engine.request("GET", "/images/json").json == before
    assert stock.say("run", "--rm", "hand") == "second layer\n"
