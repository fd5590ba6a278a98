"""EmbeddingJobs that the API server refuses, and words of each message: what to write instead."""

from __future__ import annotations

from tests.integration.kinds import REMOVE, Manifest, job

S3 = {"claimName": REMOVE, "url": "s3://corpus/wiki"}
_IN = {f"input__{field}": value for field, value in S3.items()}
_OUT = {f"output__{field}": value for field, value in S3.items()}
_BY_SERVICE = {"model": REMOVE, "cache": REMOVE, "serviceRef": {"name": "qwen"}}
FIXED = "a job does not change but for suspend and parallelism: delete it and apply it anew"

BAD: dict[str, tuple[Manifest, str]] = {
    "a job by nobody": (job(model=REMOVE, cache=REMOVE), "write exactly one of model, such as model:"),
    "a job by two": (job(serviceRef={"name": "qwen"}), "write exactly one of model, such as model:"),
    "a service with a cache": (
        job(**_BY_SERVICE | {"cache": {"claimName": "w"}}),
        "the service brings its own weights and servers",
    ),
    "a service with a runtime": (job(**_BY_SERVICE, runtime__profile="cpu"), "remove cache, runtime and serving"),
    "a job without a cache": (job(cache=REMOVE), "say where the weights are kept: write spec.cache.claimName"),
    "a job with two caches": (job(model={"cacheRef": {"name": "c"}}), "model.cacheRef brings its own storage"),
    "a job with a claim to be made": (
        job(cache={"claimTemplate": {"size": "1Gi"}}),
        'unknown field "spec.cache.claimTemplate"',
    ),
    "two inputs": (job(input__url="s3://corpus/wiki"), "write exactly one of claimName: <claim of this namespace>"),
    "no output": (job(output__claimName=REMOVE), "write exactly one of claimName: <claim of this namespace>"),
    "a claim with a hyphen before a dot": (job(cache={"claimName": "a-.b"}), "write the name of a claim in lower case"),
    "an output on a web server": (job(**_OUT | {"output__url": "https://x.example.com/a"}), "write an address without"),
    "an address with a query": (job(**_IN | {"input__url": "s3://corpus/wiki?x=y"}), "write an address without user"),
    "a region of a claim": (job(input__region="x"), "endpoint, region and secretRef belong to a url"),
    "an endpoint of a web server": (
        job(**_IN | {"input__url": "https://x.example.com", "input__endpoint": "https://y.example.com"}),
        "endpoint and region are about object storage",
    ),
    "a token without its key": (
        job(**_IN | {"input__url": "https://x.example.com", "input__secretRef": {"name": "web"}}),
        "the Secret of a http(s) url holds a token: write secretRef.key",
    ),
    "a key of object storage": (
        job(**_IN, input__secretRef={"name": "s3", "key": "x"}),
        "that of an s3 url has keys of fixed names: leave secretRef.key out",
    ),
    "a bucket that no server has": (job(**_IN | {"input__url": "s3://My_Corpus/wiki"}), "write the bucket in 3 to 63"),
    "a bucket with a port": (job(**_OUT | {"output__url": "s3://vectors:9000/wiki"}), "write the bucket in 3 to 63"),
    "wildcards of a web server": (
        job(**_IN | {"input__url": "https://x.example.com", "input__files": ["a.jsonl", "b-[0-9].jsonl"]}),
        "a web server lists nothing, so name each file without wildcards",
    ),
    "an output on the input": (job(output__claimName="corpus"), "the output is where the input is"),
    "an output on the input, in a bucket": (job(**_IN, **_OUT), "the output is where the input is"),
    "two Secrets": (
        job(
            **_IN,
            **_OUT | {"output__url": "s3://vectors/wiki"},
            input__secretRef={"name": "a"},
            output__secretRef={"name": "b"},
        ),
        "one Secret opens all object storage of a job",
    ),
    "a path beside a url": (job(**_OUT, output__path="x"), "the url says the folder too: remove path"),
    "a user of object storage": (job(**_OUT, output__securityContext={"runAsUser": 1}), "remove securityContext"),
    "a way out of the output": (job(output__path="a/../b"), "write a folder relative to the claim, without"),
    "a way out of the input": (job(input__files=["../x"]), "write a path below the input, without a leading"),
    "a folder of the input": (job(input__files=["wiki/"]), "or wiki/** for all below wiki"),
    "a path of Windows": (job(input__files=["wiki\\a.jsonl"]), "write a path below the input, without a leading"),
    "no files": (job(input__files=[]), "should have at least 1 items"),
    "fields of plain text": (job(input__format="Text"), "a line of plain text has no fields: remove idField"),
    "nothing to embed": (job(input__textField=REMOVE), "say what is embedded: write textField, imageField or both"),
    "half a pair": (job(input__queryField="q", task="Rerank"), "write queryField and documentField together"),
    "a pair that makes a vector": (
        job(input__queryField="q", input__documentField="d"),
        "a query and a document make a score: write task Rerank",
    ),
    "a text that makes a score": (job(task="Rerank"), "a score is of a query and a document, which are texts"),
    "an image that makes a score": (
        job(task="Rerank", input__textField=REMOVE, input__imageField="photo"),
        "a score is of a query and a document, which are texts",
    ),
    "a pair with an image": (
        job(
            task="Rerank",
            input__textField=REMOVE,
            input__queryField="q",
            input__documentField="d",
            input__imageField="photo",
        ),
        "or Parquet in place of textField and imageField",
    ),
    "lines that make scores": (
        job(task="Rerank", input__textField=REMOVE, input__format="Text"),
        "a score is of a query and a document, which are texts",
    ),
    "a score with dimensions": (
        job(
            task="Rerank",
            input__textField=REMOVE,
            input__queryField="q",
            input__documentField="d",
            output__dimensions=8,
        ),
        "a score has no dimensions: remove output.dimensions",
    ),
    "shards of nothing": (job(shardBytes="1"), "write a quantity of bytes from 1Ki to 64Gi, such as 256Mi"),
    "shards of everything": (job(shardBytes="1Ti"), "write a quantity of bytes from 1Ki to 64Gi, such as 256Mi"),
    "more errors than rows": (job(maxErrors="101%"), "write a number, such as 100, or a share, such as 0.1%"),
    "fewer errors than none": (job(maxErrors=-1), "write a number, such as 100, or a share, such as 0.1%"),
    "no workers": (job(parallelism=0), "spec.parallelism: Invalid value"),
    "a job's name with dots": (job(metadata__name="a.b"), "write a name of at most 63 lower-case letters, digits and"),
    "more workers than requests": (
        job(**_BY_SERVICE | {"serviceRef": {"name": "qwen", "maxInFlight": 2}}, parallelism=3),
        "write as many workers as that at most",
    ),
    "many devices of a worker": (
        job(runtime__args=["--tensor-parallel-size=2"]),
        "a worker has one device, so leave --tensor-parallel-size out",
    ),
    "weights of somebody else that are to go with a job": (
        job(model__source={"path": {"path": "x"}}, cache__deletionPolicy="Delete"),
        "weights of a path source are yours and are never removed",
    ),
}

FORBIDDEN_CHANGES: dict[str, tuple[Manifest, Manifest, str]] = {
    "another input": (job(), {"input": {"files": ["other"]}}, FIXED),
    "another output": (job(), {"output": {"path": "other"}}, FIXED),
    "another model": (job(), {"model": {"source": {"modelScope": {"revision": "v2"}}}}, FIXED),
    "an instruction afterwards": (job(), {"instruction": "x"}, FIXED),
    "another time to live": (job(ttlSecondsAfterFinished=1), {"ttlSecondsAfterFinished": None}, FIXED),
    "other resources": (job(), {"runtime": {"resources": {"limits": {"cpu": 1}}}}, FIXED),
    "another place": (job(), {"scheduling": {"nodeSelector": {"a": "b"}}}, FIXED),
    "more workers than requests, afterwards": (
        job(**_BY_SERVICE | {"serviceRef": {"name": "qwen", "maxInFlight": 2}}),
        {"parallelism": 3},
        "write as many workers as that at most",
    ),
    "another service": (job(**_BY_SERVICE), {"serviceRef": {"name": "other"}}, FIXED),
}
ALLOWED_CHANGES: dict[str, tuple[Manifest, Manifest]] = {
    "a pause": (job(), {"suspend": True}),
    "more workers": (job(), {"parallelism": 9}),
    "workers as usual": (job(parallelism=3), {"parallelism": None}),
}
