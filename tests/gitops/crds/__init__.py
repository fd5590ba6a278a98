"""The CRDs of Argo CD and Flux, out of their Go modules, which go.sum beside this file pins."""

from pathlib import Path

from tests.gateway import module_directory

HERE = Path(__file__).parent
FLUX = "config/crd/bases"
PLACES = {
    "Application": ("argoproj/argo-cd/v3", "manifests/crds/application-crd.yaml"),
    "AppProject": ("argoproj/argo-cd/v3", "manifests/crds/appproject-crd.yaml"),
    "Kustomization": ("fluxcd/kustomize-controller", f"{FLUX}/kustomize.toolkit.fluxcd.io_kustomizations.yaml"),
    "HelmRelease": ("fluxcd/helm-controller", f"{FLUX}/helm.toolkit.fluxcd.io_helmreleases.yaml"),
    "GitRepository": ("fluxcd/source-controller", f"{FLUX}/source.toolkit.fluxcd.io_gitrepositories.yaml"),
}


def crd(kind: str) -> Path:
    """The file of one CRD."""
    module, path = PLACES[kind]
    return module_directory(HERE, f"github.com/{module}") / path
