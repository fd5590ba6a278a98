import pytest

from embedding_operator.kube import resources
from embedding_operator.kube.resources import ObjectKey, by_kind, key_of


@pytest.mark.parametrize(
    ("resource", "namespace", "name", "subresource", "path"),
    [
        (resources.PODS, None, None, None, "/api/v1/pods"),
        (resources.PODS, "a", "p", None, "/api/v1/namespaces/a/pods/p"),
        (resources.DEPLOYMENTS, "a", "d", "status", "/apis/apps/v1/namespaces/a/deployments/d/status"),
        (
            resources.MODEL_CACHES,
            "a",
            None,
            None,
            "/apis/embedding-operator.io/v1alpha1/namespaces/a/modelcaches",
        ),
        (
            resources.RUNTIME_PROFILES,
            None,
            "cpu",
            None,
            "/apis/embedding-operator.io/v1alpha1/runtimeprofiles/cpu",
        ),
        (
            resources.RUNTIME_PROFILES,
            "ignored",
            "cpu",
            None,
            "/apis/embedding-operator.io/v1alpha1/runtimeprofiles/cpu",
        ),
    ],
)
def test_paths(resource, namespace, name, subresource, path):
    assert resource.path(namespace, name, subresource) == path


@pytest.mark.parametrize("written", ["a?limit=1", "a/b", "a#b", "a b", "ä"])
def test_a_name_stays_one_part_of_the_path(written):
    assert resources.PODS.path(written, written).count("/") == resources.PODS.path("a", "p").count("/")
    assert not set(resources.PODS.path(written, written)) & set("?# ä")


def test_one_namespaced_object_cannot_be_named_without_its_namespace():
    with pytest.raises(ValueError, match="namespace"):
        resources.PODS.path(None, "p")


def test_every_kind_is_found_by_its_name():
    assert [by_kind(resource.kind) for resource in resources.ALL] == list(resources.ALL)


def test_keys_of_cluster_scoped_objects_have_an_empty_namespace():
    assert key_of({"kind": "RuntimeProfile", "metadata": {"name": "cpu"}}) == ObjectKey("RuntimeProfile", "", "cpu")
    assert str(ObjectKey("Job", "a", "b")) == "Job a/b"
    assert str(ObjectKey("RuntimeProfile", "", "cpu")) == "RuntimeProfile cpu"
