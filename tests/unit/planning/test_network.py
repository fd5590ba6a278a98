"""How staging Jobs reach the network: the site's word, and the cache's in its place."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from embedding_operator.api import names
from embedding_operator.api.meta import ConfigMapKeyRef, SecretKeyRef
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.planning.cleanjob import cleanup_job
from embedding_operator.planning.network import CA_VARIABLE
from embedding_operator.planning.stagejob import StagingSite, job, job_name, reading_job
from embedding_operator.staging import usage
from tests.unit.planning import given

SITE = StagingSite(
    "example.com/operator:1",
    (("HTTPS_PROXY", "http://site:3128"), ("no_proxy", ".svc"), ("HF_ENDPOINT", "https://hf.example.com")),
    ca_bundle=ConfigMapKeyRef("site-ca", "ca.crt"),
    bytes_per_second=1000,
)
PLAIN = StagingSite("example.com/operator:1")


def cache(**spec: Any) -> ModelCache:
    obj = given.cache(staged=False).to_dict()
    obj["spec"] |= spec
    return ModelCache.from_dict(obj)


def pod(made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = made["spec"]["template"]["spec"]
    return found


def env(made: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one.get("value") for one in pod(made)["containers"][0]["env"]}


def rate(made: dict[str, Any]) -> int | None:
    *_, spec = pod(made)["containers"][0]["args"]
    told: int | None = json.loads(spec).get("bytesPerSecond")
    return told


def bundle(made: dict[str, Any]) -> dict[str, Any] | None:
    return next((volume["configMap"] for volume in pod(made)["volumes"] if "configMap" in volume), None)


def test_what_the_site_says_reaches_the_job() -> None:
    made = job(cache(), SITE)
    assert env(made) == dict(SITE.env) | {"EXTRA_CA_FILE": "/etc/embedding-operator/ca/ca.crt"}
    assert bundle(made) == {"name": "site-ca", "items": [{"key": "ca.crt", "path": "ca.crt"}], "optional": True}
    assert {"name": "ca-bundle", "mountPath": "/etc/embedding-operator/ca", "readOnly": True} in pod(made)[
        "containers"
    ][0]["volumeMounts"]
    assert rate(made) == 1000


def test_where_nobody_says_anything_there_is_nothing() -> None:
    made = job(cache(), PLAIN)
    assert (env(made), bundle(made), rate(made)) == ({}, None, None)


@pytest.mark.parametrize(
    ("proxy", "expected"),
    [
        ({"https": "http://own:1"}, {"HTTPS_PROXY": "http://own:1"}),
        ({"http": "http://own:1", "noProxy": "a,b"}, {"HTTP_PROXY": "http://own:1", "NO_PROXY": "a,b"}),
    ],
)
def test_a_cache_s_proxy_takes_the_place_of_all_of_the_site_s(proxy: dict[str, str], expected: dict[str, str]) -> None:
    found = env(job(cache(download={"proxy": proxy}), SITE))
    assert {name: value for name, value in found.items() if "proxy" in name.lower()} == expected
    assert found["HF_ENDPOINT"] == "https://hf.example.com"


@pytest.mark.parametrize(
    ("proxy", "name", "plain"),
    [
        (None, "site-proxy", {"no_proxy": ".svc"}),
        ({"secretRef": {"name": "own", "key": "url"}, "noProxy": "a"}, "own", {"NO_PROXY": "a"}),
        ({"http": "http://own:1"}, None, {"HTTP_PROXY": "http://own:1"}),
    ],
    ids=["the site's", "the cache's", "the cache's plain one"],
)
def test_a_proxy_with_a_password_comes_out_of_a_secret(
    proxy: dict[str, Any] | None, name: str | None, plain: dict[str, str]
) -> None:
    site = replace(SITE, proxy=SecretKeyRef("site-proxy", "proxy"))
    (container,) = pod(job(cache(download={"proxy": proxy} if proxy else {}), site))["containers"]
    proxies = [one for one in container["env"] if "proxy" in one["name"].lower()]
    assert {one["name"]: one["value"] for one in proxies if "value" in one} == plain
    from_secret = {one["name"]: one["valueFrom"]["secretKeyRef"]["name"] for one in proxies if "valueFrom" in one}
    assert from_secret == ({"HTTP_PROXY": name, "HTTPS_PROXY": name} if name else {})


@pytest.mark.parametrize(("own", "expected"), [("2k", 2000), (0, None), ("9e9999", 2**62), (None, 1000)])
def test_a_cache_may_be_fetched_faster_or_slower(own: str | int | None, expected: int | None) -> None:
    download = {} if own is None else {"bytesPerSecond": own}
    assert rate(job(cache(download=download), SITE)) == expected


def test_a_cache_may_trust_others() -> None:
    made = job(cache(download={"caBundleRef": {"name": "own", "key": "pem"}}), SITE)
    assert bundle(made) == {"name": "own", "items": [{"key": "pem", "path": "ca.crt"}], "optional": True}


def test_what_the_site_says_names_no_job_and_what_the_cache_says_does() -> None:
    assert job(cache(), SITE)["metadata"]["name"] == job(cache(), PLAIN)["metadata"]["name"]
    ways: list[dict[str, Any]] = [
        {},
        {"bytesPerSecond": "1Mi"},
        {"proxy": {"http": "http://own:1"}},
        {"caBundleRef": {"name": "own", "key": "pem"}},
    ]
    assert len({job_name(cache(download=download)) for download in ways}) == len(ways)


def test_jobs_that_need_no_network_get_neither_bundle_nor_identity() -> None:
    one = cache(stager={"serviceAccountName": "reader"})
    assert pod(job(one, SITE))["serviceAccountName"] == "reader"
    for made in (reading_job(one, SITE, "scrub", "{}"), cleanup_job(one, SITE, "cluster")):
        assert bundle(made) is None
        assert "serviceAccountName" not in pod(made)
    assert names.SCRUB_TASK != names.STAGING_TASK


def test_the_stager_looks_for_the_bundle_where_the_planner_puts_it() -> None:
    assert usage.CA_VARIABLE == CA_VARIABLE


def test_a_source_cannot_ask_for_a_variable_of_its_job() -> None:
    """Its server would get the site's proxy with the password, which comes out of a Secret."""
    url = "https://example.com/$(HTTPS_PROXY)/$$(HTTPS_PROXY)"
    site = replace(SITE, proxy=SecretKeyRef("site-proxy", "proxy"))
    made = job(cache(source={"http": {"url": url, "sha256": "a" * 64}}), site)
    *_, spec = pod(made)["containers"][0]["args"]
    assert json.loads(expanded(spec, {"HTTPS_PROXY": "secret"}))["source"]["http"]["url"] == url


def test_a_proxy_of_a_cache_cannot_ask_for_a_variable_of_the_site() -> None:
    site = replace(SITE, env=(*SITE.env, ("PASS", "secret")))
    told = {"http": "http://$(PASS).example.com:3128", "https": "http://$$(PASS):1", "noProxy": "$(PASS)"}
    given = env(job(cache(download={"proxy": told}), site))
    as_told = [expanded(str(given[name]), {"PASS": "secret"}) for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")]
    assert as_told == list(told.values())


def expanded(word: str, variables: dict[str, str]) -> str:
    """What a kubelet makes of a word: `$$` is `$`, and `$(NAME)` the value of a variable that there is."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else variables.get(found[1], found[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", value, word)
