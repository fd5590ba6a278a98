"""Writes the list of an image's parts (CycloneDX 1.6) from inside it: `sbom.py PYTHON PYPROJECT OUTPUT`.

What is listed is what is installed: cyclonedx-py reads Python's packages from their environment, dpkg names Debian's.
The Dockerfile runs this in the last stage with the packages of the first; the same content gives the same bytes.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

DPKG = "${Package}\t${Version}\t${Architecture}\n"


def python_parts(python: str, pyproject: str) -> Bom:
    """The packages of a Python environment, what each needs, and the project as that which is described."""
    options = ["--output-reproducible", "--spec-version", "1.6", "--pyproject", pyproject]
    command = [sys.executable, "-m", "cyclonedx_py", "environment", *options, python]
    listed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    bom: Bom = Bom.from_json(json.loads(listed))  # type: ignore[attr-defined]  # a decorator adds it
    bom.serial_number = bom.metadata.timestamp = None  # type: ignore[assignment]  # both would differ each time
    return bom


def debian_parts(listing: str, release: str) -> Iterator[Component]:
    """Debian's packages, of what dpkg-query prints in the format DPKG."""
    for line in listing.splitlines():
        name, version, architecture = line.split("\t")
        about = {"arch": architecture, "distro": f"debian-{release}"}
        purl = PackageURL("deb", "debian", name, version, about)
        yield Component(type=ComponentType.LIBRARY, name=name, version=version, purl=purl, bom_ref=f"deb:{name}")


def problems(document: str) -> str:
    """What the schema of CycloneDX has against a document; empty where it has nothing."""
    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(document)
    return str(found) if found else ""


def main() -> int:
    """Write the document, unless its own schema refuses it."""
    python, pyproject, output = sys.argv[1:]
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    listing = subprocess.run(["dpkg-query", "-W", "-f", DPKG], check=True, stdout=subprocess.PIPE, text=True).stdout
    bom = python_parts(python, pyproject)
    bom.components.update(debian_parts(listing, release["VERSION_ID"].strip('"')))
    document = JsonV1Dot6(bom).output_as_string(indent=1)
    if found := problems(document):
        print(f"error: the list of parts is no CycloneDX 1.6: {found}", file=sys.stderr)
        return 1
    Path(output).write_text(document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
