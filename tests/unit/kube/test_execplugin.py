"""Programs that a kubeconfig names for its credentials; real programs, run."""

import asyncio
import base64
import json
import os
import stat
import sys

import pytest

from embedding_operator.kube import access
from embedding_operator.kube.access import AccessError
from embedding_operator.kube.kubeconfig import of_kubeconfig
from tests.cluster.waiting import wait_until
from tests.unit.kube.test_kubeconfig import config

V1 = "client.authentication.k8s.io/v1"
LONG_AGO, LONG_AHEAD = "2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z"


@pytest.fixture
def calling(tmp_path):
    """The way of a kubeconfig whose user is a program; `body` is Python that prints."""

    def make(body, cluster=None, **more):
        program = tmp_path / "bin" / "login"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!{sys.executable}\nimport json, os, sys\nV1 = {V1!r}\n{body}")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        plugin = {"apiVersion": V1, "command": "./bin/login", "interactiveMode": "Never"} | more
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(config(cluster, {"exec": plugin})))
        return of_kubeconfig([path])

    return make


def answering(**status):
    return f"print(json.dumps({{'apiVersion': V1, 'kind': 'ExecCredential', 'status': {status!r}}}))"


def counting(tmp_path, **status):
    """Answers with how often it was called."""
    count = f"with open({str(tmp_path / 'calls')!r}, 'a+') as f: print(file=f); f.seek(0); n = len(f.readlines())\n"
    return count + answering(**status).replace("'N'", "str(n)")


async def test_the_token_that_it_prints_is_used(calling):
    assert (await calling(answering(token="t")).credential()).header == "Bearer t"


async def test_it_is_told_what_the_kubeconfig_says(calling):
    body = answering(token="T").replace("'T'", "' '.join([*sys.argv[1:], os.environ['A'], os.environ['HOME']])")
    way = calling(body, args=["get", "token"], env=[{"name": "A", "value": "b"}])
    header = (await way.credential()).header
    assert header.startswith("Bearer get token b /")


async def test_it_is_told_of_the_cluster_where_it_asks_for_that(calling):
    body = answering(token="T").replace("'T'", "os.environ['KUBERNETES_EXEC_INFO']")
    extensions = [{"name": "client.authentication.k8s.io/exec", "extension": {"audience": "me"}}]
    cluster = {"extensions": extensions, "tls-server-name": "kubernetes"}
    told = json.loads((await calling(body, cluster, provideClusterInfo=True).credential()).token)
    assert told == {
        "apiVersion": V1,
        "kind": "ExecCredential",
        "spec": {
            "interactive": False,
            "cluster": {
                "server": "https://one.example:6443",
                "tls-server-name": "kubernetes",
                "config": {"audience": "me"},
            },
        },
    }
    assert "cluster" not in json.loads((await calling(body, cluster).credential()).token)["spec"]


async def test_it_is_told_the_authority_as_data_though_the_kubeconfig_names_a_file(calling, tmp_path):
    (tmp_path / "ca.crt").write_text("PEM")
    body = answering(token="T").replace("'T'", "os.environ['KUBERNETES_EXEC_INFO']")
    way = calling(body, {"certificate-authority": "ca.crt"}, provideClusterInfo=True)
    told = json.loads((await way.credential()).token)["spec"]["cluster"]
    assert base64.b64decode(told["certificate-authority-data"]) == b"PEM"


async def test_it_is_called_once_for_many_who_ask_until_the_end_that_it_names(calling, tmp_path):
    way = calling(counting(tmp_path, token="N", expirationTimestamp=LONG_AHEAD))
    tokens = {each.token for each in await asyncio.gather(*(way.credential() for _ in range(5)))}
    assert tokens == {"1"}
    short = calling(counting(tmp_path, token="N", expirationTimestamp=LONG_AGO))
    assert [(await short.credential()).token, (await short.credential()).token] == ["2", "3"]


async def test_what_the_server_refuses_is_asked_for_again_unless_it_is_new(calling, tmp_path, monkeypatch):
    way = calling(counting(tmp_path, token="N"))
    first = await way.credential()
    way.refused(first)
    assert await way.credential() is first
    monkeypatch.setattr(access, "_NEW_SECONDS", -1.0)
    way.refused(first)
    assert (await way.credential()).token == "2"
    way.refused(first)
    assert (await way.credential()).token == "2"


@pytest.mark.parametrize(
    ("body", "more", "words"),
    [
        ("sys.exit('log in first')", {}, "ended with 1: log in first"),
        ("print('words')", {}, "did not answer with an ExecCredential"),
        ("print('{}')", {}, "did not answer with an ExecCredential"),
        (answering(), {}, "without a token and without a certificate"),
        (answering(clientCertificateData="x"), {}, "without a token and without a certificate"),
        (answering(token="t").replace("V1", "'other/v1'"), {}, "answers in other/v1"),
        ("", {"command": "no-such-program", "installHint": "get it\nfrom us"}, "cannot be run: No such file or dir"),
        ("", {"command": "no-such-program", "installHint": "get it\nfrom us"}, "get it from us"),
        ("", {"interactiveMode": "Always"}, "there is no terminal"),
    ],
)
async def test_a_program_without_a_credential_is_told_in_one_line(calling, body, more, words):
    with pytest.raises(AccessError) as refused:
        await calling(body, **more).credential()
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_a_program_that_nobody_waits_for_any_more_is_ended(calling, tmp_path):
    started = tmp_path / "pid"
    body = f"open({str(started)!r}, 'w').write(str(os.getpid())); import time; time.sleep(60)"
    asking = asyncio.create_task(calling(body).credential())
    await asyncio.to_thread(wait_until, "it runs", lambda: started.exists() and bool(started.read_text()), every=0.02)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)


async def test_a_program_that_hangs_is_ended(calling, monkeypatch):
    monkeypatch.setattr("embedding_operator.kube.execplugin._SECONDS", 0.2)
    with pytest.raises(AccessError, match="gave no credential within"):
        await calling("import time; time.sleep(60)").credential()
