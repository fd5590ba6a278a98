"""ModelCaches and RuntimeProfiles that the API server refuses, and words of each message: what to write instead."""

from __future__ import annotations

from tests.integration.kinds import REMOVE, Manifest, benchmark, cache, profile
from tests.integration.refused_services import FIXED, KEYS, PATH, QUANTITY, RESERVED, VALUE

HTTP_FILE = {"path": "config.json", "url": "https://x.example.com/config.json", "sha256": "a" * 64}

RUN = {"dataset": "random", "inputTokens": 200, "prompts": 1000}
CUSTOM = {"dataset": "custom", "prompts": 10, "file": "a.jsonl"}

BAD: dict[str, tuple[Manifest, str]] = {
    # caches
    "files of somebody else that are to go": (
        cache(source={"path": {"path": "x"}}, deletionPolicy="Delete"),
        "weights of a path source are yours and are never removed, leave deletionPolicy out",
    ),
    "a reading without an end": (cache(verify={"interval": "0s"}), "write at least 1m, or leave verify out"),
    "a reading in seconds": (cache(verify={"interval": "59s"}), "write at least 1m, or leave verify out"),
    "a reading in no duration": (cache(verify={"interval": "soon"}), "write a duration in hours, minutes and seconds"),
    "a reading at no bytes a second": (cache(verify={"interval": "1h", "bytesPerSecond": 0}), "write a quantity above"),
    "a cache's name with dots": (cache(metadata__name="qwen3-0.6b"), "write at most 63 lower-case letters, digits and"),
    "a cache without storage": (cache(storage=REMOVE), "spec.storage: Required value"),
    "a proxy with a password": (
        cache(download={"proxy": {"https": "http://u:p@proxy:3128"}}),
        "write the URL of the proxy, such as http://proxy:3128; one with user and password goes into a Secret",
    ),
    "a proxy that is spoken to in TLS": (
        cache(download={"proxy": {"http": "https://proxy:3128"}}),
        "write the URL of the proxy, such as http://proxy:3128",
    ),
    "two proxies": (
        cache(download={"proxy": {"https": "http://proxy:3128", "secretRef": {"name": "a", "key": "b"}}}),
        "write secretRef, or http and https, for the Secret's proxy is that of both",
    ),
    "a proxy without scheme": (cache(download={"proxy": {"http": "proxy:3128"}}), "write the URL of the proxy"),
    "a bundle in capitals": (
        cache(download={"caBundleRef": {"name": "CA", "key": "k"}}),
        "write the name of a ConfigMap in lower case",
    ),
    "a rate below nothing": (cache(download={"bytesPerSecond": "-1Mi"}), "write a quantity, such as 100Mi, or 0"),
    "a stager's account in capitals": (
        cache(stager={"serviceAccountName": "Reader"}),
        "write the name of a ServiceAccount in lower case",
    ),
    "a stager's account with two dots in a row": (
        cache(stager={"serviceAccountName": "0..0"}),
        "write the name of a ServiceAccount in lower case",
    ),
    "a bucket in capitals": (cache(source={"s3": {"bucket": "Models"}}), "write the name of a bucket, such as models"),
    "an archive without sum": (
        cache(source={"http": {"url": "https://x.example.com/a.zip"}}),
        "write url and sha256 of the archive together",
    ),
    "an archive and files": (
        cache(source={"http": {"url": "https://x.example.com/a.zip", "sha256": "a" * 64, "files": [HTTP_FILE]}}),
        "write url of one archive, or files: [{path: config.json",
    ),
    "a file that takes the manifest's name": (
        cache(source={"http": {"files": [HTTP_FILE | {"path": "manifest.json"}]}}),
        "manifest.json is the operator's own",
    ),
    "a cache without source": (cache(source={}), "write exactly one source, modelScope: {repo: <owner>/<name>}"),
    "a cache of a bad repo": (
        cache(source={"modelScope": {"repo": "x/y/z"}}),
        "write the repository as <owner>/<name>",
    ),
    "a cache in a bad folder": (cache(storage__subPath="../x"), PATH),
    "a short digest": (cache(digest="sha256:abc"), 'write the digest as "sha256:" and 64 lower-case hex digits'),
    "too many connections": (cache(download__parallelism=65), "should be less than or equal to 64"),
    # benchmarks
    "a benchmark's name with dots": (
        benchmark(metadata__name="a.b"),
        "write at most 63 lower-case letters, digits and",
    ),
    "a benchmark without runs": (benchmark(runs=REMOVE), "spec.runs: Required value"),
    "a benchmark of no run": (benchmark(runs=[]), "should have at least 1 items"),
    "a benchmark of nothing": (benchmark(serviceRef=REMOVE), "spec.serviceRef: Required value"),
    "an unknown data set": (
        benchmark(runs=[RUN | {"dataset": "sharegpt"}]),
        'supported values: "random", "random-rerank"',
    ),
    "random inputs of no length": (
        benchmark(runs=[{"dataset": "random", "prompts": 1}]),
        "random inputs need a length in tokens, such as 200",
    ),
    "a custom data set without a file": (
        benchmark(runs=[{"dataset": "custom", "prompts": 1}]),
        "dataset custom needs the file of its prompts, and no other has one, such as file: prompts.jsonl",
    ),
    "a file of nowhere": (benchmark(runs=[CUSTOM]), "a run has a file, so write input: {claimName: <the claim that"),
    "a file above the claim": (
        benchmark(runs=[CUSTOM | {"file": "../a.jsonl"}], input={"claimName": "c"}),
        'write a path below the claim\'s root to a file that ends in .jsonl, without ".."',
    ),
    "more inputs in a request than there are": (
        benchmark(runs=[RUN | {"prompts": 2, "inputsPerRequest": 3}]),
        "prompts counts the inputs of all requests, write at least as many as go into one",
    ),
    "a rate of nothing": (
        benchmark(runs=[RUN | {"requestRate": 0}]),
        'write requests a second above 0, such as 20 or "2.5", or inf',
    ),
    "a rate in words": (benchmark(runs=[RUN | {"requestRate": "fast"}]), "write requests a second above 0, such as 20"),
    "a rate of many zeros": (
        benchmark(sweep={"requestRate": ["0.000"]}),
        "write requests a second above 0, such as 20",
    ),
    "two sweeps": (
        benchmark(sweep={"requestRate": [1], "maxConcurrency": [1]}),
        "write exactly one of them, such as maxConcurrency: [1, 8, 64]",
    ),
    "a sweep of what a run says": (
        benchmark(runs=[RUN | {"maxConcurrency": 8}], sweep={"maxConcurrency": [1, 8]}),
        "the sweep writes maxConcurrency into each run, leave it out of runs",
    ),
    "a sweep of the rate that a run says": (
        benchmark(runs=[RUN | {"requestRate": 8}], sweep={"requestRate": [1, 8]}),
        "the sweep writes requestRate into each run, leave it out of runs",
    ),
    "too many runs": (
        benchmark(runs=[RUN] * 9, sweep={"maxConcurrency": list(range(1, 9))}),
        "these are more than 64 runs, each of runs with each value of the sweep: write fewer, or several benchmarks",
    ),
    "results above the claim": (
        benchmark(output={"claimName": "c", "path": "a/../../b"}),
        "write a path below the claim's root, without",
    ),
    # profiles
    "a profile's long name": (profile(metadata__name="a" * 64), "write a name of at most 63 characters"),
    "a profile without runtime": (profile(runtime=REMOVE), "spec.runtime: Required value"),
    "an accelerator without resource": (
        profile(accelerator={"type": "Ascend"}),
        "write the resource that the device plugin offers, such as huawei.com/Ascend910",
    ),
    "a CPU with a resource": (
        profile(accelerator={"type": "None", "resourceName": "huawei.com/Ascend910"}),
        "type None has no devices, remove resourceName",
    ),
    "a resource without domain": (
        profile(accelerator__resourceName="Ascend910"),
        "write the resource as <domain>/<name>, such as huawei.com/Ascend910",
    ),
    "a slice of another device": (
        profile(accelerator__slice={"huawei.com/Ascend310P-memory": 4096}),
        "a slice is a part of the device in resourceName",
    ),
    "a slice that is the device": (
        profile(accelerator__slice={"huawei.com/Ascend910": 1}),
        "a slice is a part of the device in resourceName",
    ),
    "a slice of nothing": (
        profile(accelerator={"type": "None", "slice": {"huawei.com/Ascend910-memory": 1}}),
        "a slice is a part of the device in resourceName",
    ),
    "no slice": (
        profile(accelerator__slice={"huawei.com/Ascend910-memory": 0}),
        "should be greater than or equal to 1",
    ),
    "a slice in words": (
        profile(accelerator__slice={"huawei.com/Ascend910-memory": "32Gi"}),
        'must be of type integer: "string"',
    ),
    "a count twice": (profile(accelerator__allowedCounts=[1, 1]), "allowedCounts[1]: Duplicate value: 1"),
    "another accelerator": (profile(accelerator__type="CUDA"), 'supported values: "Ascend", "None"'),
    "another runtime": (profile(runtime__name="tgi"), 'supported values: "vllm-ascend", "vllm"'),
    "a profile's latest image": (profile(runtime__image="vllm:latest"), FIXED),
    "a relative host mount": (profile(pod={"hostMounts": ["usr/local"]}), "write an absolute path of the node"),
    "the whole host": (profile(pod={"hostMounts": ["//"]}), "write an absolute path of the node"),
    "a host mount that climbs": (profile(pod={"hostMounts": ["/usr/../etc"]}), "write an absolute path of the node"),
    "the operator's own label": (
        profile(pod={"labels": {"embedding-operator.io/service": "x"}}),
        RESERVED,
    ),
    "the operator's own annotation": (
        profile(pod={"annotations": {"embedding-operator.io/x": "x"}}),
        "annotations of embedding-operator.io/ are the operator's",
    ),
    "a RuntimeClass with a blank": (
        profile(pod={"runtimeClassName": "my class"}),
        "write the name of a RuntimeClass in lower case, such as ascend",
    ),
    "a label that is none": (profile(pod={"labels": {"a b": "x"}}), KEYS),
    "an annotation that is none": (profile(pod={"annotations": {"/x": "x"}}), KEYS),
    "a label of nodes that is none": (profile(pod={"nodeSelector": {"": "x"}}), KEYS),
    "a label's value that is none": (profile(pod={"labels": {"a": "x y"}}), VALUE),
    "a label's value that no node has": (profile(pod={"nodeSelector": {"a": "-x"}}), VALUE),
    "a taint that no node has": (
        profile(pod={"tolerations": [{"key": "a b"}]}),
        "write the taint's key as nodes have it",
    ),
    "a taint's value that no node has": (
        profile(pod={"tolerations": [{"key": "a", "value": "é"}]}),
        "write the taint's value as nodes have it",
    ),
    "a profile's pull secret in capitals": (
        profile(runtime__imagePullSecrets=[{"name": "Registry"}]),
        "write the name of a Secret in lower case, such as registry-credentials",
    ),
    "a staging pod's node that is none": (cache(stager={"nodeSelector": {"a": "x y"}}), VALUE),
    "a staging pod's label of nodes that is none": (cache(stager={"nodeSelector": {"a b": "x"}}), KEYS),
    "a share that is no quantity": (profile(pod={"resourcesPerDevice": {"memory": "lots"}}), QUANTITY),
    "shared memory that is no quantity": (profile(pod={"sharedMemory": "1GB"}), QUANTITY),
}
