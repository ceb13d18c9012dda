#!/usr/bin/env python3
"""Makes an OCI archive of an image layout, the same bytes for the same content.

    python3 packaging/image/pack.py LAYOUT INSPECT.json MAX_COMPRESSED ARCHIVE

LAYOUT is a folder as buildah pushes it. Its layers are compressed anew by zstd -22 (a fifth smaller than gzip -9 with
this program; containerd 1.5, Docker 23, podman 3 and later read it). The health check, from what `buildah inspect`
says, goes into each image's configuration under Docker's name: OCI has none of its own and passes over it, Docker and
BuildKit keep it there. Sizes are printed; more than MAX_COMPRESSED bytes of layers for one architecture are an error.
"""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"


class Blobs:
    """Content by its digest."""

    def __init__(self, folder):
        self.folder = folder
        self.new = {}

    def read(self, descriptor):
        return (self.folder / descriptor["digest"].replace(":", "/")).read_bytes()

    def document(self, descriptor):
        return json.loads(self.read(descriptor))

    def add(self, content, descriptor, **changes):
        """Takes `content` in; its descriptor is the old one with the new digest and size."""
        digest = hashlib.sha256(content).hexdigest()
        self.new[digest] = content
        return {**descriptor, **changes, "digest": "sha256:" + digest, "size": len(content)}

    def add_document(self, document, descriptor):
        return self.add(json.dumps(document, separators=(",", ":")).encode(), descriptor)


def layer(blobs, descriptor):
    content = blobs.read(descriptor)
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    # One thread: the number of them would change the bytes.
    zstd = ["zstd", "-q", "--ultra", "-22", "--single-thread"]
    packed = subprocess.run(zstd, input=content, stdout=subprocess.PIPE, check=True)
    return blobs.add(packed.stdout, descriptor, mediaType=LAYER)


def image(blobs, descriptor, healthcheck, most):
    manifest = blobs.document(descriptor)
    config = blobs.document(manifest["config"])
    config["config"]["Healthcheck"] = healthcheck
    manifest["config"] = blobs.add_document(config, manifest["config"])
    manifest["layers"] = [layer(blobs, each) for each in manifest["layers"]]
    size = sum(each["size"] for each in manifest["layers"])
    print(f"{config['architecture']}: {size} bytes compressed")
    if size > most:
        sys.exit(f"packaging/image/pack.py: {config['architecture']}: {size} bytes compressed, more than {most}")
    return blobs.add_document(manifest, descriptor)


def add_file(archive, name, content, time):
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = len(content), time, 0o644
    archive.addfile(entry, io.BytesIO(content))


def main():
    layout, most, out = Path(sys.argv[1]), int(sys.argv[3]), sys.argv[4]
    healthcheck = json.loads(Path(sys.argv[2]).read_text())["Docker"]["config"].get("Healthcheck")
    if not healthcheck or healthcheck["Test"][0] != "CMD":
        sys.exit("packaging/image/pack.py: the image has no health check")
    time = int(os.environ["SOURCE_DATE_EPOCH"])
    blobs = Blobs(layout / "blobs")
    top = json.loads((layout / "index.json").read_text())
    (name,) = top["manifests"]
    if name["mediaType"] != INDEX:
        sys.exit(f"packaging/image/pack.py: {name['mediaType']} instead of an index of architectures")
    index = blobs.document(name)
    index["manifests"] = [image(blobs, each, healthcheck, most) for each in index["manifests"]]
    top["manifests"] = [blobs.add_document(index, name)]
    with tarfile.open(out, "w", format=tarfile.USTAR_FORMAT) as archive:
        add_file(archive, "oci-layout", (layout / "oci-layout").read_bytes(), time)
        add_file(archive, "index.json", json.dumps(top, separators=(",", ":")).encode(), time)
        for digest in sorted(blobs.new):
            add_file(archive, f"blobs/sha256/{digest}", blobs.new[digest], time)


main()
