#!/usr/bin/env python3
"""Prints the notices that the licences of the crates in the program ask for.

    python3 packaging/deb/notices.py aarch64-unknown-linux-gnu [feature arguments]

Which crates are in the program for that target is asked of cargo; what only takes part in building (procedural macros,
build scripts, tests) is left out, because nothing of it is handed on. Every crate is listed with version, licence and
source, then every licence text found in the crates' own folders, each once, with the crates that bring it. A crate
without a text of its own gets the standard text of its licence; a licence that is not known here is an error, so that
nothing is handed on without one.
"""

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

FILES = re.compile(r"(?i)^(licen[cs]e|copying|copyright|notice|unlicense)([-._].*)?$")
# What stands for a crate that brings no text, by the licence we take of those it offers.
STANDARD = {"MIT": "LICENSE-MIT", "Apache-2.0": "LICENSE-APACHE"}
# Longest single text: anything larger is no licence.
MAX_TEXT = 256 * 1024

TOOLCHAIN = """\
The program also contains Rust's standard library (MIT OR Apache-2.0, https://github.com/rust-lang/rust) and, where
linked so, the unwinder of LLVM (Apache-2.0 WITH LLVM-exception, https://llvm.org), and the time zone database, which is in the
public domain (https://www.iana.org/time-zones)."""


def linked(metadata):
    """The packages whose code is in the program, without our own, in order of name."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    seen, waiting = set(), [root]
    while waiting:
        current = waiting.pop()
        is_macro = any("proc-macro" in target["kind"] for target in packages[current]["targets"])
        if current in seen or is_macro:
            continue
        seen.add(current)
        waiting += [dep["pkg"] for dep in nodes[current]["deps"] if any(k["kind"] is None for k in dep["dep_kinds"])]
    return sorted((packages[p] for p in seen - {root}), key=lambda p: (p["name"], p["version"]))


def texts(package):
    """The licence texts in a crate's folder."""
    folder = Path(package["manifest_path"]).parent
    named = folder / package["license_file"] if package["license_file"] else None
    places = [folder, *(p for p in sorted(folder.iterdir()) if p.is_dir() and p.name.lower() in ("license", "licenses"))]
    inside = [f for place in places for f in sorted(place.iterdir()) if place != folder or FILES.match(f.name)]
    for file in dict.fromkeys([f for f in [named, *inside] if f]):
        if file.is_file() and file.stat().st_size <= MAX_TEXT:
            lines = [line.rstrip() for line in file.read_text(errors="replace").replace("\f", "").splitlines()]
            text = "\n".join(lines).strip("\n")
            # Some repositories hold links to a file elsewhere, which a crate then carries as one line.
            if len(text) > 100:
                yield text


def standard(package):
    """The standard text of one of the licences a crate offers."""
    offered = re.split(r"\s+OR\s+|/", package["license"] or "")
    for name in STANDARD:
        if name in [o.strip(" ()") for o in offered]:
            text = Path(STANDARD[name]).read_text().strip("\n")
            holders = ", ".join(package["authors"]) or f"the authors of {package['name']}"
            text = re.sub(r"(?m)^Copyright \(c\).*$", lambda _: f"Copyright (c) {holders}", text)
            return f"(no text in the crate; {name})\n\n{text}"
    sys.exit(f"notices.py: {package['name']} {package['version']} brings no text of its licence ({package['license']})")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", *sys.argv[1:]]
    crates = linked(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
    bringers = defaultdict(list)
    print("Third-party software in cooltwin\n================================\n\n" + TOOLCHAIN + "\n")
    for package in crates:
        name = f"{package['name']} {package['version']}"
        link = package["repository"] or package["homepage"] or f"https://crates.io/crates/{package['name']}"
        print(f"{name}: {package['license'] or 'see its text below'} ({link})")
        for text in list(texts(package)) or [standard(package)]:
            bringers[text].append(name)
    for text, names in sorted(bringers.items(), key=lambda item: item[1]):
        print("\n" + "-" * 100 + "\n" + ", ".join(dict.fromkeys(names)) + "\n\n" + text)


main()
