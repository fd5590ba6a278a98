"""From an EmbeddingBenchmark to its Jobs and figures: given this and these observations, expect that."""

from dataclasses import replace
from typing import Any

import pytest

from embedding_operator.api.conditions import Condition, Type
from embedding_operator.planning.benchloads import best, loads, told
from embedding_operator.planning.benchplan import BenchmarkPlan, is_over, plan_benchmark, subject_of, turn_of
from embedding_operator.planning.errors import PlanError
from tests.unit.planning import benchmarks
from tests.unit.planning.benchmarks import NUMBERS, RUN, SERVING, benchmark, ended, job_of, measured, seen, service


def ready(planned: BenchmarkPlan) -> tuple[str, str, str]:
    one = planned.status.conditions[0]
    return one.status, one.reason, one.message


def condition(planned: BenchmarkPlan, kind: str) -> Condition | None:
    return next((one for one in planned.status.conditions if one.type == kind), None)


def arguments(planned: BenchmarkPlan) -> list[str]:
    words: list[str] = job_of(planned)["spec"]["template"]["spec"]["containers"][0]["args"]
    return words


def after_flag(words: list[str], flag: str) -> str:
    return words[words.index(flag) + 1]


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


@pytest.mark.parametrize(
    ("run", "task", "expected"),
    [
        (RUN, "Embed", "--backend openai-embeddings --dataset-name random --random-input-len 200"),
        (RUN | {"inputsPerRequest": 32}, "Embed", "--random-input-len 200 --random-batch-size 32"),
        (RUN | {"requestRate": 20, "maxConcurrency": 8}, "Embed", "--request-rate 20 --max-concurrency 8"),
        (RUN | {"requestRate": "inf"}, "Embed", "--request-rate inf"),
        (RUN | {"dataset": "random-rerank"}, "Rerank", "--backend vllm-rerank --endpoint /v1/rerank"),
        (
            {"dataset": "custom", "prompts": 10, "file": "a/b.jsonl"},
            "Embed",
            "--as-they-are --dataset-name custom --dataset-path /input/a/b.jsonl",
        ),
    ],
)
def test_a_load_is_told_in_vllms_words(run: dict[str, Any], task: str, expected: str) -> None:
    more = {"input": {"claimName": "corpus"}} if "file" in run else {}
    made = benchmarks.revisions(task=task, model={"source": {"modelScope": {"repo": "Qwen/X"}}})
    given = seen(service=service(task=task), revisions=made, servers=benchmarks.servers(made[0]))
    words = arguments(plan_benchmark(benchmark(runs=[run], **more), given))
    asked = expected.split()
    pairs = {word: following for word, following in zip(asked, [*asked[1:], "--"], strict=True) if word[:2] == "--"}
    for flag, value in pairs.items():
        assert flag in words
        assert value[:2] == "--" or after_flag(words, flag) == value


@pytest.mark.parametrize(
    ("run", "task", "version", "words"),
    [
        (RUN, "Rerank", "0.23.0", "has task Rerank: make a benchmark with dataset random-rerank"),
        (RUN | {"dataset": "random-rerank"}, "Embed", "0.23.0", "make a benchmark with dataset random or custom"),
        (RUN, "Classify", "0.23.0", "vllm bench serve has no load for that: measure one that embeds or ranks"),
        (RUN | {"dataset": "random-rerank"}, "Rerank", "0.11.0", "no load for reranking before 0.12.0"),
    ],
)
def test_a_load_that_the_service_cannot_be_given_is_refused(
    run: dict[str, Any], task: str, version: str, words: str
) -> None:
    made = benchmarks.revisions()
    made = [replace(made[0], resolved=made[0].resolved | {"vllm": version})]
    given = seen(service=service(task=task), revisions=made, servers=benchmarks.servers(made[0]))
    planned = plan_benchmark(benchmark(runs=[run]), given)
    assert (planned.create, ready(planned)[1]) == ((), "InvalidSpec")
    assert words in ready(planned)[2]
    assert condition(planned, Type.STALLED)


def test_each_run_of_a_sweep_draws_other_inputs_and_two_benchmarks_draw_others() -> None:
    one = benchmark(runs=[RUN, RUN], sweep={"maxConcurrency": [1, 8]})
    made = loads(one)
    assert [(load.max_concurrency, load.request_rate) for load in made] == [(1, None), (8, None), (1, None), (8, None)]
    assert len({load.seed for load in made}) == 4
    assert loads(replace(one, metadata=replace(one.metadata, uid="b-2")))[0].seed != made[0].seed
    same = [loads(benchmark(runs=[RUN | {"seed": 7}]))[0].seed for _ in range(2)]
    assert same == [7, 7]
    assert [load.request_rate for load in loads(benchmark(sweep={"requestRate": [5, "2.5"]}))] == ["5", "2.5"]


UNREADY = {"type": "Ready", "status": "False", "reason": "RollingOut", "message": "1 of 4 replicas are new"}


@pytest.mark.parametrize(
    ("given", "reason", "words"),
    [
        ({"service": None, "age": 99}, "ServiceNotFound", "there is no EmbeddingService qwen in namespace search"),
        ({"ahead": "other"}, "WaitingForTurn", "EmbeddingBenchmark other measures qwen"),
        ({"service": service(UNREADY)}, "WaitingForService", "RollingOut, 1 of 4 replicas are new"),
        ({"service": service(SERVING, generation=2)}, "WaitingForService", "has just been changed"),
        ({"servers": []}, "WaitingForService", "pods of EmbeddingService qwen are being replaced"),
        ({"refused": PlanError("ApplyRefused", "no quota")}, "ApplyRefused", "no quota"),  # type: ignore[arg-type]
    ],
)
def test_nothing_is_measured_before_all_is_as_it_should_be(given: dict[str, Any], reason: str, words: str) -> None:
    planned = plan_benchmark(benchmark(), seen(**given))
    assert planned.create == ()
    assert ready(planned)[1] == reason
    assert words in ready(planned)[2]


def test_a_service_that_is_applied_together_with_it_may_come() -> None:
    planned = plan_benchmark(benchmark(), seen(service=None, age=1))
    assert condition(planned, Type.STALLED) is None
    assert planned.requeue_after


def test_figures_are_the_medians_of_the_repeats_with_all_that_they_belong_to() -> None:
    slow = [*NUMBERS[:3], 25.0, 40.0, 8000.0, *NUMBERS[6:]]
    fast = [*NUMBERS[:3], 16.0, 62.5, 12500.0, *NUMBERS[6:]]
    planned = measured(benchmark(), NUMBERS, slow, fast)
    assert ready(planned) == ("True", "Measured", "the run is done: 50.00 requests/s, p99 1900.0 ms")
    (one,) = planned.status.results or ()
    assert (one.run, one.requests, one.failed, one.requests_per_second, one.duration) == (1, 3000, 0, "50.00", "20.00")
    assert [repeat.requests_per_second for repeat in one.repeats or ()] == ["50.00", "40.00", "62.50"]
    assert (one.service.generation, one.service.replicas, one.service.vllm) == (3, 4, "0.23.0")
    assert (one.service.image, one.service.digest) == ("quay.io/ascend/vllm-ascend:v0.23.0", "sha256:" + "ab" * 32)
    assert one.valid
    valid = condition(planned, Type.VALID)
    assert valid is not None
    assert (valid.status, valid.reason) == ("True", "Undisturbed")
    assert (planned.status.progress, planned.status.best.requests_per_second) == ("1/1", "50.00")


def test_runs_go_one_after_the_other_and_none_is_measured_twice() -> None:
    before = benchmark(sweep={"maxConcurrency": [1, 8]})
    first = measured(before)
    assert (ready(first)[0], first.status.progress, first.requeue_after) == ("False", "1/2", 0.0)
    then = benchmarks.after(before, first)
    second = plan_benchmark(then, seen())
    assert job_of(second)["metadata"]["name"].endswith("-2")
    assert after_flag(arguments(second), "--max-concurrency") == "8"
    done = benchmarks.after(then, measured(then))
    assert [one.run for one in done.status.results or ()] == [1, 2]
    again = plan_benchmark(done, seen(service=None))  # whatever becomes of the service
    assert (again.create, again.status) == ((), done.status)
    assert is_over(done.status.conditions)


def test_the_same_observations_give_the_same_plan() -> None:
    assert plan_benchmark(benchmark(), seen()) == plan_benchmark(benchmark(), seen())


def disturbed_by(**observed: Any) -> str | None:
    (one,) = measured(benchmark(), **observed).status.results or ()
    assert one.valid == (one.disturbed is None)
    return one.disturbed


def test_what_disturbed_a_run_makes_its_figures_worthless() -> None:
    made = benchmarks.revisions()
    assert disturbed_by() is None
    assert disturbed_by(servers=benchmarks.servers(made[0], restarts=1)) == "servers restarted 4 times"
    replaced = benchmarks.servers(made[0])
    replaced[0]["metadata"]["uid"] = "another"
    assert disturbed_by(servers=replaced) == "1 of 4 pods were replaced"
    changed = replace(service(), metadata=replace(service().metadata, generation=4))
    changed = replace(changed, status=replace(changed.status, observed_generation=4))
    assert disturbed_by(service=changed) == "the service was changed (generation 3, then 4)"
    assert disturbed_by(service=service(UNREADY)) == (
        "at the end of the run EmbeddingService qwen is not serving with all replicas: RollingOut, "
        "1 of 4 replicas are new"
    )
    assert disturbed_by(service=None) == "at the end of the run the service is gone"


def test_failed_requests_make_figures_worthless_and_are_counted() -> None:
    planned = measured(benchmark(), [990, 10, *NUMBERS[2:]], NUMBERS)
    (one,) = planned.status.results or ()
    assert (one.failed, one.disturbed) == (10, "10 of 2000 requests failed")
    valid = condition(planned, Type.VALID)
    assert valid is not None
    assert (valid.status, valid.reason, valid.message) == ("False", "Disturbed", "run 1: 10 of 2000 requests failed")


def test_the_best_run_is_one_that_nothing_disturbed() -> None:
    good = (measured(benchmark()).status.results or ())[0]
    bad = replace(good, run=2, valid=False, requests_per_second="99.00")
    assert best((good, bad)) == good
    assert best((bad,)) == bad
    assert best(()) is None


def test_lost_figures_are_measured_again() -> None:
    before = plan_benchmark(benchmark(), seen())
    job, pod = ended(job_of(before), None)
    for pods in ([], [pod]):
        planned = plan_benchmark(benchmark(), seen(jobs=[job], pods=pods))
        assert planned.delete == (("Job", job["metadata"]["name"]),)
        assert ready(planned)[1] == "Retrying"
        assert planned.status.results is None


def test_a_run_that_cannot_be_done_needs_a_person_and_says_how_to_go_on() -> None:
    job, pod = ended(
        job_of(plan_benchmark(benchmark(), seen())), {"reason": "Unreachable", "message": "no answer"}, failed=True
    )
    planned = plan_benchmark(benchmark(), seen(jobs=[job], pods=[pod]))
    assert ready(planned)[1] == "BenchmarkFailed"
    assert (
        f"no answer; when mended, try again with `kubectl delete job {job['metadata']['name']} -n search`"
        in (ready(planned)[2])
    )
    unheard = plan_benchmark(benchmark(), seen(jobs=[job]))
    assert "it has failed; when mended" in ready(unheard)[2]
    assert is_over(planned.status.conditions)


def test_while_it_runs_it_says_what_it_waits_for() -> None:
    job = job_of(plan_benchmark(benchmark(), seen()))
    job = job | {"metadata": job["metadata"] | {"uid": "j-1"}}
    pod: dict[str, Any] = {
        "metadata": {"name": "bench-x", "ownerReferences": [{"uid": "j-1"}]},
        "status": {"phase": "Running"},
    }
    run = "run 1 of 1 (1000 x 200 tokens, all at once)"
    assert ready(plan_benchmark(benchmark(), seen(jobs=[job])))[2] == f"{run}: its Job makes a pod"
    assert ready(plan_benchmark(benchmark(), seen(jobs=[job], pods=[pod])))[1:] == ("Measuring", run)
    pod["status"] = {"phase": "Pending"}
    assert ready(plan_benchmark(benchmark(), seen(jobs=[job], pods=[pod])))[2] == f"{run}: its pod has not started yet"
    waiting = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
    pod["status"] = {"phase": "Pending", "conditions": [waiting]}
    assert ready(plan_benchmark(benchmark(), seen(jobs=[job], pods=[pod])))[1] == "Unschedulable"


def test_an_annotation_that_somebody_took_away_is_no_proof() -> None:
    began = plan_benchmark(benchmark(), seen())
    job, pod = ended(job_of(began), {"repeats": [NUMBERS]})
    job["metadata"]["annotations"] = {}
    (one,) = plan_benchmark(benchmark(), seen(jobs=[job], pods=[pod])).status.results or ()
    assert not one.valid
    assert one.disturbed == "nobody knows any more what was measured: the Job's annotation is gone"


def test_who_has_begun_goes_on_and_then_who_came_first() -> None:
    def obj(name: str, created: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "creationTimestamp": created}}

    early, late = obj("b", "2026-03-04T12:00:00Z"), obj("a", "2026-03-04T12:00:01Z")
    assert turn_of(early, begun=False) < turn_of(late, begun=False)
    assert turn_of(late, begun=True) < turn_of(early, begun=False)
    assert turn_of(obj("a", ""), begun=False) < turn_of(obj("b", ""), begun=False)


def test_a_load_is_told_in_a_few_words() -> None:
    (one,) = loads(
        benchmark(runs=[RUN | {"name": "short", "inputsPerRequest": 8, "requestRate": 5, "maxConcurrency": 9}])
    )
    assert told(one) == "short: 1000 x 200 tokens, 8 in a request, 5 requests/s and 9 at a time"


def test_pods_that_end_are_none_of_what_is_measured() -> None:
    made = benchmarks.revisions()
    ending = benchmarks.servers(made[0], 5)
    ending[4]["metadata"]["deletionTimestamp"] = "2026-03-04T12:00:00Z"
    subject = subject_of(seen(servers=ending))
    assert not isinstance(subject, str)
    assert len(subject.pods) == 4
