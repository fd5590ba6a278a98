"""No confused deputy: the operator does nothing for a user that this user may not do himself."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from tests.guards import guards
from tests.integration.kinds import REMOVE, Manifest, benchmark, cache, changed, job, service
from tests.integration.people import AUTHOR, People, create_right, secret_right, use_right


def remote_job(**changes: Any) -> Manifest:
    """An EmbeddingJob whose rows lie on no claim."""
    places = {f"{place}__claimName": REMOVE for place in ("input", "output")}
    places |= {"input__url": "s3://bucket/rows", "output__url": "s3://bucket/vectors"}
    return job(**places | changes)


MAKE = {
    "embeddingservices": service,
    "embeddingjobs": remote_job,
    "modelcaches": cache,
    "embeddingbenchmarks": benchmark,
}
NEVER_CHANGED = ("embeddingbenchmarks",)  # the schema refuses it
UNRELATED = {
    "embeddingservices": {"replicas": 7},
    "embeddingjobs": {"parallelism": 7},
    "modelcaches": {"download__parallelism": 3},
}

# Each field that needs the right to create something, as it is written first and as it is changed.
FIELDS: dict[str, dict[str, tuple[Any, Any]]] = {
    "embeddingservices": {
        "runtime.image": ("example.com/vllm:v0.23.0", "example.com/other:v0.23.0"),
        "runtime.imagePullSecrets": ([{"name": "registry"}], [{"name": "other"}]),
        "runtime.args": (["--enforce-eager"], ["--trust-remote-code"]),
        "runtime.env": ([{"name": "A", "value": "1"}], [{"name": "A", "value": "2"}]),
        "runtime.podTemplate": ({"spec": {"hostname": "a"}}, {"spec": {"serviceAccountName": "boss"}}),
        "cache.securityContext": ({"runAsUser": 1000}, {"runAsUser": 0}),
        "cache.claimTemplate": ({"size": "1Gi"}, None),  # never changed: the schema refuses it
        "scheduling.tolerations": ([{"operator": "Exists"}], [{"key": "a"}]),
        "scheduling.affinity": ({"nodeAffinity": {}}, {"podAntiAffinity": {}}),
        "scheduling.priorityClassName": ("high", "higher"),
        "scheduling.schedulerName": ("volcano", "other"),
        "exposure.service.type": ("NodePort", "LoadBalancer"),
        "exposure.service.nodePort": (30001, 30002),
        "exposure.service.annotations": ({"dns": "a.example.com"}, {"dns": "b.example.com"}),
        "exposure.service.loadBalancerClass": ("example.com/a", None),
        "exposure.service.loadBalancerSourceRanges": (["10.0.0.0/8"], ["0.0.0.0/0"]),
        "exposure.gateway": ({"parentRefs": [{"name": "a"}]}, {"parentRefs": [{"name": "b"}]}),
        "exposure.networkPolicy": ({"from": []}, {"from": [{"podSelector": {}}]}),
        "monitoring.podMonitor": (True, False),
        "monitoring.labels": ({"release": "a"}, {"release": "b"}),
    },
    "embeddingjobs": {  # the schema refuses all changes
        "runtime.image": ("example.com/vllm:v0.23.0", None),
        "runtime.imagePullSecrets": ([{"name": "registry"}], None),
        "runtime.args": (["--enforce-eager"], None),
        "runtime.env": ([{"name": "A", "value": "1"}], None),
        "runtime.podTemplate": ({"spec": {"hostname": "a"}}, None),
        "cache.securityContext": ({"runAsUser": 1000}, None),
        "output.securityContext": ({"runAsUser": 1000}, None),
        "scheduling.tolerations": ([{"operator": "Exists"}], None),
        "scheduling.affinity": ({"nodeAffinity": {}}, None),
        "scheduling.priorityClassName": ("high", None),
        "scheduling.schedulerName": ("volcano", None),
        "input.claimName": ("corpus", None),
        "output.claimName": ("vectors", None),
    },
    "modelcaches": {
        "stager.serviceAccountName": ("reader", "boss"),
        "stager.securityContext": ({"runAsUser": 1000}, {"runAsUser": 0}),
        "stager.tolerations": ([{"operator": "Exists"}], [{"key": "a"}]),
    },
    "embeddingbenchmarks": {
        "input": ({"claimName": "corpus"}, None),
        "output": ({"claimName": "results"}, None),
    },
}
# What must be written beside a field for the schema to take it.
BESIDE: dict[str, dict[str, Any]] = {
    "input.claimName": {"input__url": REMOVE},
    "output.claimName": {"output__url": REMOVE},
    "output.securityContext": {"output__url": REMOVE, "output__claimName": "vectors"},
    "serviceRef.apiKeySecretRef": {"model": REMOVE, "cache": REMOVE, "serviceRef__name": "qwen"},
    "cache.claimTemplate": {"cache__claimName": REMOVE},
    "monitoring.labels": {"monitoring__podMonitor": False},
    "exposure.service.nodePort": {"exposure__service__type": "NodePort"},
    "exposure.service.loadBalancerClass": {"exposure__service__type": "LoadBalancer"},
    "exposure.service.loadBalancerSourceRanges": {"exposure__service__type": "LoadBalancer"},
}
# Where the schema has its own say about what is taken away.
REQUIRED = ("cache.claimTemplate", "exposure.service.loadBalancerClass", "monitoring.podMonitor")
SOURCES = {
    "modelScope": {"repo": "a/b", "secretRef": {"name": "token", "key": "t"}},
    "huggingFace": {"repo": "a/b", "secretRef": {"name": "token", "key": "t"}},
    "http": {"url": "https://example.com/a.tar", "sha256": "a" * 64, "secretRef": {"name": "token", "key": "t"}},
    "s3": {"bucket": "models", "secretRef": {"name": "token"}},
}
HUB = SOURCES["modelScope"]


GUARDED = [
    (kind, resource, field.partition("=")[0])
    for kind, guard in guards().items()
    for resource, fields in guard["create"].items()
    for field in fields
]


def stored(people: People, manifest: Manifest) -> Manifest:
    """Made by an administrator."""
    return people.keep(manifest | {"metadata": {"name": f"x{secrets.token_hex(4)}"}})


def test_every_guarded_field_is_tried() -> None:
    assert {(kind, field) for kind, _, field in GUARDED} == {(kind, field) for kind in FIELDS for field in FIELDS[kind]}


@pytest.mark.parametrize(("kind", "resource", "field"), GUARDED, ids=lambda value: str(value))
def test_what_only_the_author_of_pods_may_write_needs_the_right_to_make_them(
    people: People, kind: str, resource: str, field: str
) -> None:
    path, (first, second) = field.replace(".", "__"), FIELDS[kind][field]
    written = changed(MAKE[kind](), BESIDE.get(field, {}) | {path: first})
    beside = [create_right("jobs.batch")] if field == "output.securityContext" else []  # the claim that it is of
    owner = people.holder(create_right(resource), *beside)
    refused = people.create(AUTHOR, written)
    assert not refused.allowed
    assert f"spec.{field}" in refused.message
    assert f"to change this needs the right to create {resource} in namespace {people.namespace}" in refused.message
    assert people.create(owner, written).allowed
    if kind in NEVER_CHANGED:
        return
    # an administrator's object: the author may edit what is his, and neither change nor take away what is not
    object_ = stored(people, written)
    assert people.update(AUTHOR, object_, changed(written, UNRELATED[kind])).allowed
    for value in (second, REMOVE):
        if value is None or (value is REMOVE and field in REQUIRED) or kind == "embeddingjobs":
            continue
        edited = changed(written, {path: value})
        assert f"spec.{field}" in people.update(AUTHOR, object_, edited).message
        assert people.update(owner, object_, edited).allowed


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("kind", ["embeddingservices", "modelcaches"])
def test_the_secret_of_a_source_is_sent_for_who_may_read_it(people: People, kind: str, name: str) -> None:
    path = "source" if kind == "modelcaches" else "model__source"
    written = MAKE[kind](**{path: {name: SOURCES[name]}})
    refused = people.create(AUTHOR, written)
    assert not refused.allowed
    told = f"spec.{path.replace('__', '.')} names Secret token: to say where it is sent needs the right to get it in"
    assert told in refused.message
    assert people.create(people.holder(secret_right("token")), written).allowed
    assert not people.create(people.holder(secret_right("another")), written).allowed


@pytest.mark.parametrize(
    ("make", "edit", "allowed"),
    [
        # a service
        (service(model__source={"modelScope": HUB}), {"replicas": 7}, True),
        (service(model__source={"modelScope": HUB}), {"model__servedName": "mine"}, True),
        (service(model__source={"modelScope": HUB}), {"cache__ttlAfterUnused": "1h"}, True),
        (service(model__source={"modelScope": HUB}), {"model__source__modelScope__secretRef": REMOVE}, True),
        (service(model__source={"modelScope": HUB}), {"model__source": {"modelScope": {"repo": "a/c"}}}, True),
        (service(model__source={"modelScope": HUB}), {"model__source__modelScope__endpoint": "https://evil.io"}, False),
        (service(model__source={"modelScope": HUB}), {"model__source__modelScope__repo": "evil/b"}, False),
        (service(model__source={"modelScope": HUB}), {"model__source__modelScope__revision": "v2"}, False),
        (service(model__source={"modelScope": HUB}), {"cache__claimName": "mine"}, False),
        (service(model__source={"modelScope": HUB}), {"cache__subPath": "mine"}, False),
        (service(), {"model__source__modelScope__secretRef": HUB["secretRef"]}, False),
        (service(model__source={"http": SOURCES["http"]}), {"model__source__http__url": "https://evil.io/a"}, False),
        # a ModelCache, whose source and storage never change
        (cache(source={"modelScope": HUB}), {"download__parallelism": 3}, True),
        (cache(source={"modelScope": HUB}), {"deletionPolicy": "Delete"}, True),
        (cache(source={"modelScope": HUB}), {"download__proxy": {"https": "http://evil:3128"}}, False),
        (cache(source={"modelScope": HUB}), {"download__caBundleRef": {"name": "evil", "key": "ca"}}, False),
        (cache(), {"download__proxy": {"https": "http://mine:3128"}}, True),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) and "kind" not in value else "",
)
def test_a_secret_that_is_sent_already_is_not_sent_elsewhere(
    people: People, make: Manifest, edit: dict[str, Any], allowed: bool
) -> None:
    object_, edited = stored(people, make), changed(make, edit)
    assert people.update(AUTHOR, object_, edited).allowed is allowed
    assert people.update(people.holder(secret_right("token")), object_, edited).allowed


@pytest.mark.parametrize(
    ("edit", "allowed"),
    [
        ({"download__parallelism": 3}, True),
        ({"stager__nodeSelector": {"pool": "a"}}, True),
        ({"download__proxy": {"https": "http://evil:3128"}}, False),
        ({"download__caBundleRef": {"name": "evil", "key": "ca"}}, False),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_the_token_of_a_service_account_is_not_sent_past_others_by_who_may_not_use_it(
    people: People, edit: dict[str, Any], allowed: bool
) -> None:
    written = cache(source={"s3": {"bucket": "models"}}, stager={"serviceAccountName": "reader"})
    object_, edited = stored(people, written), changed(written, edit)
    answer = people.update(AUTHOR, object_, edited)
    assert answer.allowed is allowed
    assert allowed or "spec.stager.serviceAccountName is reader: to say where its token is sent" in answer.message
    assert people.update(people.holder(create_right("deployments.apps")), object_, edited).allowed


@pytest.mark.parametrize(
    "edit",
    [
        {"model__source__modelScope__repo": "evil/b"},
        {"model__source__modelScope__revision": "v2"},
        {"model": {"cacheRef": {"name": "evil"}}, "cache": REMOVE},
        {"cache__claimName": "mine"},
        {"cache__subPath": "mine"},
    ],
    ids=lambda edit: next(iter(edit)),
)
def test_weights_whose_code_arguments_may_run_are_chosen_by_who_may_write_arguments(
    people: People, edit: dict[str, Any]
) -> None:
    written = service(runtime__args=["--trust-remote-code"])
    object_, edited = stored(people, written), changed(written, edit)
    refused = people.update(AUTHOR, object_, edited)
    assert not refused.allowed
    assert "spec.runtime.args may have code of the weights run: to choose others beside it needs" in refused.message
    assert people.update(people.holder(create_right("deployments.apps")), object_, edited).allowed
    assert people.update(AUTHOR, stored(people, service()), changed(service(), edit)).allowed


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("embeddingservices", "exposure.apiKeySecretRef"),
        ("embeddingservices", "exposure.tls.secretRef"),
        ("embeddingjobs", "input.secretRef"),
        ("embeddingjobs", "output.secretRef"),
        ("embeddingjobs", "serviceRef.apiKeySecretRef"),
        ("modelcaches", "download.proxy.secretRef"),
    ],
)
def test_another_secret_is_named_by_who_may_read_it(people: People, kind: str, field: str) -> None:
    def naming(secret: str) -> Manifest:
        key = {"key": "proxy"} if kind == "modelcaches" or field.startswith("serviceRef") else {}
        return MAKE[kind](**BESIDE.get(field, {}) | {field.replace(".", "__"): {"name": secret} | key})

    owner = people.holder(secret_right("ours"))
    told = people.create(AUTHOR, naming("ours")).message
    assert f"spec.{field} names Secret ours: this needs the right to get it in namespace {people.namespace}" in told
    assert people.create(owner, naming("ours")).allowed
    assert not people.create(owner, naming("theirs")).allowed
    if kind == "embeddingjobs":  # which never change
        return
    object_ = stored(people, naming("theirs"))
    assert people.update(owner, object_, naming("ours")).allowed
    assert not people.update(AUTHOR, object_, naming("ours")).allowed
    assert people.update(AUTHOR, object_, changed(naming("theirs"), UNRELATED[kind])).allowed
    assert people.update(AUTHOR, object_, MAKE[kind]()).allowed


def test_a_profile_is_named_by_who_may_use_it(people: People) -> None:
    npu, cpu, default = (service(runtime__profile="npu"), service(runtime__profile="cpu"), service())
    told = people.create(AUTHOR, npu).message
    assert "spec.runtime.profile names RuntimeProfile npu: this needs the right to use it in namespace" in told
    assert people.create(AUTHOR, cpu).allowed
    assert people.create(AUTHOR, default).allowed  # an administrator made it everybody's by calling it the default
    owner = people.holder(use_right(["npu"]))
    assert people.create(owner, npu).allowed
    object_ = stored(people, npu)
    assert people.update(AUTHOR, object_, changed(npu, UNRELATED["embeddingservices"])).allowed
    assert people.update(AUTHOR, object_, cpu).allowed
    assert not people.update(AUTHOR, stored(people, cpu), npu).allowed
