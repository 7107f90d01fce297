# SPDX-License-Identifier: LGPL-2.1-or-later
"""Image archives, sound and hostile, made by hand so that every byte is the test's."""
import gzip
import hashlib
import io
import json
import tarfile

SH = "/bin/busybox"


def entry(name, kind=tarfile.REGTYPE, data=b"", link="", mode=0o755, size=None):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    info.size = len(data) if size is None else size
    return info, data


def link(name, target):
    return entry(name, tarfile.SYMTYPE, link=target)


def hard_link(name, target):
    return entry(name, tarfile.LNKTYPE, link=target)


def folder(name):
    return entry(name, tarfile.DIRTYPE)


def tar(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def busybox_entries():
    """What a runnable image has at the least."""
    with open(SH, "rb") as f:
        binary = f.read()
    return [folder("bin"), entry("bin/busybox", data=binary), link("bin/sh", "busybox"), link("bin/cat", "busybox"),
            link("bin/ls", "busybox"), link("bin/env", "busybox"), link("bin/echo", "busybox"), folder("tmp"),
            folder("etc"), entry("etc/passwd", data=b"root:x:0:0:root:/root:/bin/sh\n", mode=0o644)]


def digest(data):
    return hashlib.sha256(data).hexdigest()


def configuration(layers, config=None):
    return json.dumps({"architecture": "amd64", "os": "linux", "config": config or {"Cmd": ["sh"]},
                       "created": "2026-01-02T03:04:05Z", "history": [{"created_by": "by hand"} for _ in layers],
                       "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest(layer) for layer in layers]}}).encode()


def docker_archive(layers, tags=("hand:latest",), config=None, raw_config=None, manifest=None):
    """As `docker save` writes it. layers: tars."""
    config = configuration(layers, config) if raw_config is None else raw_config
    names = ["%d/layer.tar" % i for i in range(len(layers))]
    if manifest is None:
        manifest = json.dumps([{"Config": "config.json", "RepoTags": list(tags), "Layers": names}]).encode()
    return tar(entry("config.json", data=config), entry("manifest.json", data=manifest),
               *[entry(name, data=layer) for name, layer in zip(names, layers)])


def image_id(layers, config=None):
    return "sha256:" + digest(configuration(layers, config))


def oci_archive(layers, tag="hand:latest", config=None):
    blobs = {}

    def blob(data, kind):
        blobs[digest(data)] = data
        return {"mediaType": kind, "digest": "sha256:" + digest(data), "size": len(data)}
    described = blob(configuration(layers, config), "application/vnd.oci.image.config.v1+json")
    packed = [blob(gzip.compress(layer, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip") for layer in layers]
    manifest = blob(json.dumps({"schemaVersion": 2, "config": described, "layers": packed,
                                "mediaType": "application/vnd.oci.image.manifest.v1+json"}).encode(),
                    "application/vnd.oci.image.manifest.v1+json")
    manifest["annotations"] = {"org.opencontainers.image.ref.name": tag, "io.containerd.image.name": tag}
    return tar(entry("oci-layout", data=b'{"imageLayoutVersion":"1.0.0"}'),
               entry("index.json", data=json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode()),
               *[entry("blobs/sha256/" + name, data=data) for name, data in blobs.items()])
