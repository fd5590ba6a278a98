"""A child as it is desired and as it is observed, for the tests of applying."""

OWNER = {
    "apiVersion": "embedding-operator.io/v1alpha1",
    "kind": "EmbeddingService",
    "name": "x",
    "uid": "u0",
    "controller": True,
}
LABELS = {"app.kubernetes.io/managed-by": "embedding-operator", "color": "red"}
DESIRED = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "x",
        "namespace": "a",
        "labels": LABELS,
        "annotations": {"note": "1"},
        "ownerReferences": [OWNER],
    },
    "spec": {"replicas": 2},
}


def observed(**changes):
    """DESIRED as it may be observed, with parts of its metadata replaced."""
    metadata = {
        "name": "x",
        "namespace": "a",
        "uid": "u1",
        "generation": 1,
        "resourceVersion": "10",
        "labels": {**LABELS, "theirs": "1"},
        "annotations": {"note": "1", "deployment.kubernetes.io/revision": "1"},
        "ownerReferences": [OWNER],
    }
    return {"kind": "Deployment", "metadata": {**metadata, **changes}}
