#!/usr/bin/env python3
"""Prints CHANGELOG.md in Debian's format, one entry a version.

    python3 packaging/deb/changelog.py CHANGELOG.md

"Unreleased" becomes the version of Cargo.toml, dated SOURCE_DATE_EPOCH; released versions bear their own date, as in
"## 0.2.0 (2026-12-01)". Name and address are the package's maintainer in Cargo.toml.
"""

import email.utils
import os
import re
import sys
import textwrap
import tomllib
from datetime import datetime, timezone
from pathlib import Path

WIDTH = 80
HEADING = re.compile(r"^## (?P<version>Unreleased|\[?\d[^\]\s(]*\]?)(?:\s*[-(]\s*(?P<date>\d{4}-\d\d-\d\d)\)?)?\s*$")


def entries(lines, package):
    """Yields (version, seconds since 1970, lines of the section)."""
    found = []
    for line in lines:
        heading = HEADING.match(line)
        if heading:
            version, seconds = heading["version"].strip("[]"), int(os.environ["SOURCE_DATE_EPOCH"])
            if version == "Unreleased":
                version = package["version"]
            elif heading["date"]:
                seconds = datetime.fromisoformat(heading["date"]).replace(tzinfo=timezone.utc).timestamp()
            else:
                sys.exit(f"changelog.py: {line.strip()!r} has no date; write it as '## {version} (YEAR-MONTH-DAY)'")
            found.append((version, seconds, []))
        elif line.startswith("## "):
            sys.exit(f"changelog.py: {line.strip()!r} is neither 'Unreleased' nor a version")
        elif found:
            found[-1][2].append(line)
    return found


def items(lines):
    """Yields the bullets, each on one line, and the headings between them."""
    bullet = None
    for line in [*lines, ""]:
        starts, text = line.startswith(("- ", "### ")), line.strip()
        if bullet and (starts or not text):
            yield ("*", bullet)
            bullet = None
        if line.startswith("### "):
            yield ("[", line[4:].strip())
        elif line.startswith("- "):
            bullet = line[2:].strip()
        elif bullet and text:
            bullet += " " + text


def main():
    package = tomllib.loads(Path("Cargo.toml").read_text())["package"]
    maintainer = package["metadata"]["deb"]["maintainer"]
    sections = [e for e in entries(Path(sys.argv[1]).read_text().splitlines(), package) if any(items(e[2]))]
    if not sections:
        sys.exit(f"changelog.py: {sys.argv[1]} has no entry")
    for version, seconds, lines in sections:
        print(f"{package['name']} ({version}) unstable; urgency=medium\n")
        for kind, text in items(lines):
            if kind == "[":
                print(f"  [ {text} ]")
            else:
                print(textwrap.fill(text, WIDTH, initial_indent="  * ", subsequent_indent="    ",
                                    break_on_hyphens=False, break_long_words=False))
        print(f"\n -- {maintainer}  {email.utils.formatdate(seconds)}\n")


main()
