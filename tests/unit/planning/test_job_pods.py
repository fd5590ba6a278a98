"""The pods of an EmbeddingJob: what a worker has of a service's pod, and what the driver beside it may see."""

import json
from typing import Any

import pytest

from embedding_operator.planning.jobphases import job_names
from embedding_operator.planning.jobpods import SERVICE_CA_FILE
from embedding_operator.planning.stagejob import StagingSite
from tests.unit.planning import given, jobs
from tests.unit.planning.jobs import SPLIT, Cluster, by_service, document, driver, job, service

JsonObject = dict[str, Any]


def made(obj: JsonObject, phase: str = "embed", **seen: Any) -> JsonObject:
    """The Job of a phase, as it is made."""
    cluster = Cluster(obj, **seen)
    cluster.step()
    if phase == "embed":
        cluster.end("split", SPLIT)
        cluster.step()
    return dict(cluster.made[-1])


def pod(obj: JsonObject, phase: str = "embed", **seen: Any) -> JsonObject:
    return dict(made(obj, phase, **seen)["spec"]["template"]["spec"])


def served(spec: JsonObject) -> tuple[JsonObject, JsonObject]:
    """The server's container of a worker, and of a service with the same model."""
    (sidecar,) = pod(job(**spec))["initContainers"]
    planned = given.plan(
        given.service(**{k: v for k, v in spec.items() if k != "output"}), given.seen(cache=given.cache())
    )
    (container,) = given.child(planned, "Deployment")["spec"]["template"]["spec"]["containers"]
    return sidecar, container


def test_a_worker_has_the_container_of_a_service_as_a_native_sidecar() -> None:
    sidecar, container = served({})
    assert sidecar.pop("restartPolicy") == "Always"
    space = "/etc/embedding-operator/space"
    container["volumeMounts"] = [one for one in container["volumeMounts"] if one["mountPath"] != space]
    probe = container["startupProbe"]["exec"]["command"]
    at = probe.index("--measure")
    del probe[at : at + 2]
    for container_env in (sidecar["env"], container["env"]):
        container_env[:] = [one for one in container_env if one["name"] != "EMBEDDING_OPERATOR_MAX_CONNECTION_AGE"]
    assert sidecar == {field: v for field, v in container.items() if field not in ("readinessProbe", "lifecycle")}


def test_only_the_driver_has_the_data_and_no_token_of_the_api() -> None:
    spec = pod(job())
    (server,), (own,) = spec["initContainers"], spec["containers"]
    data = {"input", "output"}
    assert not data & {mount["name"] for mount in server["volumeMounts"]}
    assert {mount["name"]: mount.get("readOnly", False) for mount in own["volumeMounts"]} == {
        "input": True,
        "output": False,
        "scratch": False,
    }
    assert spec["automountServiceAccountToken"] is False
    assert own["image"] == "example.com/operator:1"
    assert own["securityContext"] == {
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_a_failure_that_another_try_does_not_mend_is_the_drivers() -> None:
    (permanent, disrupted) = made(job())["spec"]["podFailurePolicy"]["rules"]
    assert permanent["onExitCodes"] == {"containerName": "driver", "operator": "In", "values": [3]}
    assert disrupted == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}


@pytest.mark.parametrize(
    ("claims", "volumes", "writable"),
    [
        (("corpus", "vectors"), {"model-weights": True, "corpus": True, "vectors": False}, "output"),
        (("data", "data"), {"model-weights": True, "data": False}, "input"),
        (("model-weights", "vectors"), {"model-weights": True, "vectors": False}, "output"),
        (("corpus", "model-weights"), {"model-weights": False, "corpus": True}, "weights"),
        (("model-weights", "model-weights"), {"model-weights": False}, "weights"),
    ],
    ids=" ".join,
)
def test_a_claim_is_one_volume_whatever_it_holds(
    claims: tuple[str, str], volumes: dict[str, bool], writable: str
) -> None:
    source, target = claims
    base = job()["spec"]
    spec = pod(job(input=base["input"] | {"claimName": source}, output=base["output"] | {"claimName": target}))
    found = [volume for volume in spec["volumes"] if "persistentVolumeClaim" in volume]
    assert {
        one["persistentVolumeClaim"]["claimName"]: one["persistentVolumeClaim"].get("readOnly", False) for one in found
    } == volumes
    assert len(found) == len(volumes)
    mounts = [
        (mount["name"], mount["mountPath"])
        for mount in driver(
            made(job(input=base["input"] | {"claimName": source}, output=base["output"] | {"claimName": target}))
        )["volumeMounts"]
        if not mount.get("readOnly")
    ]
    assert (writable, "/output") in mounts
    for container in spec["initContainers"]:
        assert [m for m in container["volumeMounts"] if m["name"] == "weights" and not m.get("readOnly")] == []
    # a claim that holds what is not the job's is not given to its group
    assert ("fsGroup" in spec["securityContext"]) == (len(volumes) == 3 or target == "vectors")


def test_a_worker_is_no_pod_of_a_service_of_the_same_name() -> None:
    template = made(job())["spec"]["template"]
    labels = template["metadata"]["labels"]
    assert labels["embedding-operator.io/job"] == "wiki"
    assert "embedding-operator.io/service" not in labels
    (spread,) = template["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"] == {"matchLabels": {"embedding-operator.io/job": "wiki"}}
    assert "matchLabelKeys" not in spread


def test_what_a_pod_template_adds_beside_the_server_runs_as_long_as_the_driver() -> None:
    overlay = {
        "spec": {
            "containers": [
                {"name": "vllm", "lifecycle": {"postStart": {"exec": {"command": ["true"]}}}},
                {"name": "logs", "image": "logs:1"},
            ],
            "securityContext": {"fsGroup": 7},
        }
    }
    spec = pod(job(runtime={"profile": "ascend-910b", "podTemplate": overlay}))
    server, logs = spec["initContainers"]
    assert server["lifecycle"] == {"postStart": {"exec": {"command": ["true"]}}}
    assert (logs["name"], logs["restartPolicy"]) == ("logs", "Always")
    assert [container["name"] for container in spec["containers"]] == ["driver"]
    assert spec["securityContext"]["fsGroup"] == 7


def test_claims_that_one_node_can_mount_bring_the_workers_together() -> None:
    template = made(job(), cache=given.cache(accessModes=["ReadWriteOnce"]))["spec"]["template"]
    (term,) = template["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    (label,) = term["labelSelector"]["matchLabels"].items()
    assert label in template["metadata"]["labels"].items()  # so the first one finds a node, too
    assert "matchExpressions" not in term["labelSelector"]


def test_small_pods_are_placed_where_the_workers_will_be() -> None:
    scheduling = {"nodeSelector": {"rack": "r1"}, "tolerations": [{"key": "npu", "operator": "Exists"}]}
    spec = pod(job(scheduling=scheduling), "split")
    assert spec["nodeSelector"] == {"accelerator": "huawei-Ascend910", "rack": "r1"}
    assert spec["tolerations"] == [{"key": "npu", "operator": "Exists"}]
    assert "initContainers" not in spec
    assert [volume["name"] for volume in spec["volumes"]] == ["input", "output", "scratch"]


S3_IN = {"url": "s3://corpus/wiki", "files": ["*.jsonl"], "format": "JsonLines", "textField": "text"}


def variables(spec: JsonObject) -> dict[str, Any]:
    """Of the driver."""
    (own,) = spec["containers"]
    return {one["name"]: one.get("value") or one["valueFrom"]["secretKeyRef"] for one in own["env"]}


def test_object_storage_is_opened_by_a_secret_that_the_driver_alone_gets() -> None:
    place = {"endpoint": "https://s3.example.com", "region": "eu-central-1", "secretRef": {"name": "s3"}}
    obj = job(input=S3_IN | place, output={"url": "s3://vectors/wiki"} | place)
    spec = pod(obj)
    assert variables(spec) == {
        "AWS_ACCESS_KEY_ID": {"name": "s3", "key": "AWS_ACCESS_KEY_ID"},
        "AWS_SECRET_ACCESS_KEY": {"name": "s3", "key": "AWS_SECRET_ACCESS_KEY"},
        "AWS_SESSION_TOKEN": {"name": "s3", "key": "AWS_SESSION_TOKEN", "optional": True},
    }
    assert "s3" not in json.dumps(spec["initContainers"])
    told = document(made(obj))
    assert (told["input"]["root"], told["output"]["root"]) == ("s3://corpus/wiki", "s3://vectors/wiki")
    assert told["input"]["endpoint"] == told["output"]["endpoint"] == "https://s3.example.com"
    assert [volume["name"] for volume in spec["volumes"] if "persistentVolumeClaim" in volume] == ["weights"]


def test_a_token_for_files_on_a_web_server_is_another_variable() -> None:
    place = S3_IN | {"url": "https://data.example.com/wiki", "secretRef": {"name": "web", "key": "token"}}
    assert variables(pod(job(input=place))) == {"HTTP_SOURCE_TOKEN": {"name": "web", "key": "token"}}


def test_the_sites_proxy_is_for_who_asks_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "SITE", StagingSite("example.com/operator:1", (("HTTPS_PROXY", "http://p:1"),)))
    assert variables(pod(job(input=S3_IN)))["HTTPS_PROXY"] == "http://p:1"
    assert variables(pod(job())) == {}


def test_a_worker_by_a_service_is_a_driver_with_a_bound() -> None:
    cluster = Cluster(by_service(), service=service())
    cluster.embed()
    work = cluster.made[-1]
    own = driver(work)
    assert "initContainers" not in work["spec"]["template"]["spec"]
    assert own["args"][-4:] == ["--server", "http://qwen.search.svc:8000", "--max-in-flight", "32"]
    assert "annotations" not in work["metadata"]
    cluster = Cluster(by_service() | {}, service=service())
    cluster.obj["spec"]["serviceRef"]["maxInFlight"] = 100
    cluster.embed()
    assert driver(cluster.made[-1])["args"][-1] == "25"  # of each of four


def test_a_service_that_lets_in_who_has_a_key_is_shown_one() -> None:
    exposure = {"apiKeySecretRef": {"name": "keys"}, "tls": {"secretRef": {"name": "tls"}}}
    cluster = Cluster(by_service(), service=service(exposure=exposure))
    cluster.step()
    assert "write spec.serviceRef.apiKeySecretRef with a key of Secret keys" in cluster.message()
    cluster.obj["spec"]["serviceRef"]["apiKeySecretRef"] = {"name": "keys", "key": "batch"}
    cluster.step()
    assert "write spec.serviceRef.caBundleRef" in cluster.message()
    cluster.obj["spec"]["serviceRef"]["caBundleRef"] = {"name": "ca", "key": "root.pem"}
    cluster.embed()
    own = driver(cluster.made[-1])
    assert own["args"][-2:] == ["--ca-file", SERVICE_CA_FILE]
    assert own["args"][own["args"].index("--server") + 1] == "https://qwen.search.svc:8000"
    assert own["env"] == [
        {"name": "EMBEDDINGS_API_KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "batch"}}}
    ]
    (volume,) = [one for one in cluster.made[-1]["spec"]["template"]["spec"]["volumes"] if one["name"] == "service-ca"]
    assert volume["configMap"] == {"name": "ca", "items": [{"key": "root.pem", "path": "ca.crt"}]}


@pytest.mark.parametrize(
    ("spec", "its", "words"),
    [
        ({"task": "Rerank"}, {}, "spec.task is Rerank, and EmbeddingService qwen is for Embed"),
        (
            {"instruction": "mine"},
            {"serving": {"promptFormat": "Model", "instruction": "its"}},
            "EmbeddingService qwen puts text into its model's format with its own",
        ),
    ],
)
def test_a_service_that_cannot_do_the_job_is_refused(spec: JsonObject, its: JsonObject, words: str) -> None:
    cluster = Cluster(by_service(**spec), service=service(**its))
    cluster.step()
    assert cluster.conditions()["Stalled"] == ("True", "InvalidSpec")
    assert words in cluster.message()


def test_what_the_driver_puts_around_text_the_server_does_not_put_around_it_again() -> None:
    work = made(job(serving={"promptFormat": "Model"}, instruction="Find passages."))
    (server,) = work["spec"]["template"]["spec"]["initContainers"]
    assert "EMBEDDING_OPERATOR_PROMPT" not in {one["name"] for one in server["env"]}
    told = document(work)
    assert (told["promptFormat"], told["instruction"]) == ("Model", "Find passages.")
    by = Cluster(by_service(), service=service(serving={"promptFormat": "Model", "instruction": "Find."}))
    by.embed()
    told = document(by.made[-1])
    assert (told["promptFormat"], told["instruction"]) == ("Model", "Find.")


def test_the_names_of_the_jobs_leave_room_for_the_hosts_of_their_pods() -> None:
    obj = Cluster(job()).job
    long = {"metadata": job()["metadata"] | {"name": "w" * 63}}
    names = job_names(type(obj).from_dict(job() | long), "0" * 32)
    assert all(len(f"{name}-9999") <= 63 for name in names)
    assert len(set(names)) == 3
    again = {"metadata": job()["metadata"] | {"uid": "u-10"}}
    assert job_names(type(obj).from_dict(job() | again), "0" * 32) != job_names(obj, "0" * 32)
