"""Generates what is derived: the chart's copies of the CRDs, and install.yaml. `python -m charts.manifests`

crds/ is the source of truth. The copies differ in what Helm needs only: a switch, and the wish to be kept.
install.yaml is the chart with its default values, for people without Helm. It holds no object of our own kinds:
a CRD and an object of its kind cannot be applied together.
"""

import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
CHART = REPOSITORY / "charts/embedding-operator"
CRDS = REPOSITORY / "crds"
CHART_CRDS = CHART / "templates/crds"
INSTALL = REPOSITORY / "install.yaml"
NAMESPACE = "embedding-operator-system"

GENERATED = "# Generated from {source} by `make manifests`; change it there.\n"
KEEP = """  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""
NAMESPACE_MANIFEST = f"""apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""


def chart_crd(name: str, crd: str) -> str:
    """The chart's copy of a CRD file."""
    metadata = "\nmetadata:\n"
    if crd.count(metadata) != 1 or "\n  annotations:\n" in crd.split("\nspec:\n")[0]:
        raise ValueError(f"crds/{name}: expected one metadata without annotations, which the chart adds")
    # what looks like a template in a description must reach the cluster as it is written
    escaped = crd.replace("{{", '{{ "{{" }}')
    body = escaped.replace(metadata, metadata + KEEP)
    header = GENERATED.format(source=f"crds/{name}")
    return f"{{{{- if .Values.crds.install }}}}\n{header}{body.rstrip()}\n{{{{- end }}}}\n"


def chart_crds() -> dict[str, str]:
    """File name -> text of all copies."""
    return {path.name: chart_crd(path.name, path.read_text()) for path in sorted(CRDS.glob("*.yaml"))}


def install_manifest(helm: str | Path) -> str:
    """install.yaml: a namespace and the chart's objects, without Helm's name in their labels."""
    command = [str(helm), "template", "embedding-operator", str(CHART), "--namespace", NAMESPACE]
    rendered = subprocess.run(command, capture_output=True, text=True, check=False)
    if rendered.returncode:
        raise ValueError(f"helm template: {rendered.stderr.strip()}")
    lines = [
        line
        for line in rendered.stdout.splitlines(keepends=True)
        if line.strip() != "app.kubernetes.io/managed-by: Helm"
    ]
    header = GENERATED.format(source="charts/embedding-operator")
    return f"{header}# kubectl apply --server-side -f install.yaml\n---\n{NAMESPACE_MANIFEST}{''.join(lines)}"


def write_chart_crds() -> None:
    """Make the chart's copies, and remove those whose original is gone."""
    copies = chart_crds()
    CHART_CRDS.mkdir(parents=True, exist_ok=True)
    for stale in CHART_CRDS.glob("*.yaml"):
        if stale.name not in copies:
            stale.unlink()
    for name, text in copies.items():
        (CHART_CRDS / name).write_text(text)


def find_helm() -> Path:
    """Helm of the machine, else the one that the test cluster's tool builds."""
    if found := shutil.which("helm"):
        return Path(found)
    from tests.cluster.binaries import ensure_binaries

    return ensure_binaries(["helm"])["helm"]


def main() -> int:
    """Write everything."""
    try:
        write_chart_crds()
        INSTALL.write_text(install_manifest(find_helm()))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
