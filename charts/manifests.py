"""Generates what is derived: the chart's copies of the CRDs, its dashboards, the schema of profiles, the table of
values, and install.yaml. `python -m charts.manifests`

crds/ is the source of truth. The copies differ in what Helm needs only: a switch, the wish to be kept, labels and
annotations.
install.yaml is the chart with its default values, for people without Helm. It holds no object of our own kinds:
a CRD and an object of its kind cannot be applied together.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from charts import profileschema, valuestable
from charts.dashboard_operator import operator
from charts.dashboard_servers import servers
from charts.dashboards import written

REPOSITORY = Path(__file__).resolve().parent.parent
CHART = REPOSITORY / "charts/embedding-operator"
VALUES = CHART / "values.yaml"
VALUES_SCHEMA = CHART / "values.schema.json"
README = CHART / "README.md"
CRDS = REPOSITORY / "crds"
CHART_CRDS = CHART / "templates/crds"
INSTALL = REPOSITORY / "install.yaml"
NAMESPACE = "embedding-operator-system"

GENERATED = "# Generated from {source} by `make manifests`; change it there.\n"
ANNOTATIONS = """  {{- if or .Values.crds.keep .Values.annotations }}
  annotations:
    {{- if .Values.crds.keep }}
    helm.sh/resource-policy: keep
    {{- end }}
    {{- with .Values.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
"""
LABELS = """    {{- with .Values.labels }}
    {{- toYaml . | nindent 4 }}
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
    metadata, spec = "\nmetadata:\n", "\nspec:\n"
    head = crd.split(spec)[0]
    if crd.count(metadata) != 1 or "\n  annotations:\n" in head or not re.search(r"\n  labels:(\n    .*)+$", head):
        raise ValueError(
            f"crds/{name}: expected one metadata, its labels last and no annotations: the chart adds to them"
        )
    # what looks like a template in a description must reach the cluster as it is written
    escaped = crd.replace("{{", '{{ "{{" }}')
    body = escaped.replace(metadata, metadata + ANNOTATIONS).replace(spec, f"\n{LABELS}spec:\n", 1)
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


def values_schema() -> str:
    """The schema of the values with what the CRD says of a profile's spec in its place."""
    return profileschema.put_into(VALUES_SCHEMA.read_text(), (CRDS / "runtimeprofiles.yaml").read_text())


def readme() -> str:
    """The chart's page with the table of its values in its place."""
    return valuestable.put_into(README.read_text(), VALUES.read_text())


def write_chart_crds() -> None:
    """Make the chart's copies, and remove those whose original is gone."""
    copies = chart_crds()
    CHART_CRDS.mkdir(parents=True, exist_ok=True)
    for stale in CHART_CRDS.glob("*.yaml"):
        if stale.name not in copies:
            stale.unlink()
    for name, text in copies.items():
        (CHART_CRDS / name).write_text(text)


def dashboards() -> dict[str, str]:
    """File name -> text of Grafana's dashboards."""
    return {f"{made['uid']}.json": written(made) for made in (operator(), servers())}


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
        VALUES_SCHEMA.write_text(values_schema())
        README.write_text(readme())
        for name, text in dashboards().items():
            (CHART / "dashboards" / name).write_text(text)
        INSTALL.write_text(install_manifest(find_helm()))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
