"""The Job of a run: what its pod is, and where it runs."""

from embedding_operator.planning.benchplan import plan_benchmark
from tests.unit.planning import benchmarks
from tests.unit.planning.benchmarks import after_flag, arguments, benchmark, job_of, ready, seen, service


def test_a_service_that_serves_is_measured_with_its_own_image_and_weights() -> None:
    planned = plan_benchmark(benchmark(), seen())
    assert ready(planned)[:2] == ("False", "Measuring")
    assert [one["kind"] for one in planned.create] == ["ConfigMap", "Job"]
    pod = job_of(planned)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "quay.io/ascend/vllm-ascend:v0.23.0"
    assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "model-weights", "readOnly": True}
    assert container["volumeMounts"][0]["readOnly"]
    words = arguments(planned)
    assert after_flag(words, "--url") == after_flag(words, "--base-url") == "http://qwen.search.svc:8000"
    assert after_flag(words, "--model") == "Qwen/Qwen3-VL-Embedding-8B"
    assert after_flag(words, "--tokenizer") == container["volumeMounts"][0]["mountPath"]
    assert (after_flag(words, "--repeats"), after_flag(words, "--warmup")) == ("3", "50")


def test_the_pod_is_restricted_has_no_device_no_token_and_runs_near_the_servers() -> None:
    pod = job_of(plan_benchmark(benchmark(), seen()))["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"] == {
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert not pod["automountServiceAccountToken"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert "huawei.com/Ascend910" not in str(container["resources"])
    near = pod["affinity"]["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert [term["podAffinityTerm"]["topologyKey"] for term in near] == [
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    ]
    assert pod["nodeSelector"] == {"accelerator": "huawei-Ascend910"}
    assert {one["name"] for one in container["env"]} >= {"VLLM_PLUGINS", "TORCH_DEVICE_BACKEND_AUTOLOAD"}


def test_keys_and_certificate_come_from_secrets_and_into_no_argument() -> None:
    exposure = {"apiKeySecretRef": {"name": "keys"}, "tls": {"secretRef": {"name": "tls"}}}
    made = benchmarks.revisions(exposure=exposure)
    given = seen(service=service(exposure=exposure), revisions=made, servers=benchmarks.servers(made[0]))
    planned = plan_benchmark(benchmark(), given)
    words, pod = arguments(planned), job_of(planned)["spec"]["template"]["spec"]
    assert after_flag(words, "--url") == "https://qwen.search.svc:8000"
    volumes = {one["name"]: one for one in pod["volumes"]}
    assert volumes["api-keys"]["secret"]["secretName"] == "keys"
    assert [one["secret"]["items"][0]["key"] for one in volumes["tls"]["projected"]["sources"]] == ["tls.crt", "ca.crt"]
    mounted = {one["mountPath"] for one in pod["containers"][0]["volumeMounts"] if one.get("readOnly")}
    assert {after_flag(words, "--api-keys"), after_flag(words, "--certificates")} <= mounted


def test_raw_results_are_kept_where_the_spec_says_and_written_as_who_staged_the_weights() -> None:
    cache = {"claimName": "model-weights", "securityContext": {"runAsUser": 7, "fsGroup": 8}}
    made = benchmarks.revisions(cache=cache)
    given = seen(service=service(cache=cache), revisions=made, servers=benchmarks.servers(made[0]))
    for claim, user, group in (("results", 65532, 65532), ("model-weights", 7, 8)):
        planned = plan_benchmark(benchmark(output={"claimName": claim, "path": "a/b"}), given)
        pod = job_of(planned)["spec"]["template"]["spec"]
        assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["fsGroup"]) == (user, group)
        assert pod["containers"][0]["volumeMounts"][-1] == {"name": "output", "mountPath": "/output"}
        assert (after_flag(arguments(planned), "--keep"), after_flag(arguments(planned), "--keep-as")) == (
            "/output/a/b/table",
            "run-1",
        )


def test_weights_that_one_node_can_mount_keep_the_pod_beside_the_servers() -> None:
    made = benchmarks.revisions()
    template = made[0].template
    template["metadata"]["labels"]["embedding-operator.io/claim"] = "model-weights"
    planned = plan_benchmark(benchmark(), seen(revisions=made, servers=benchmarks.servers(made[0])))
    template = job_of(planned)["spec"]["template"]
    (term,) = template["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert template["metadata"]["labels"]["embedding-operator.io/claim"] == "model-weights"
