"""Kubeconfig files, as kubectl reads them."""

import base64
import json
import os
from pathlib import Path

import pytest

from embedding_operator.kube.access import AccessError
from embedding_operator.kube.kubeconfig import files, of_kubeconfig

AUTHORITY = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"


def config(cluster=None, user=None, **more):
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "me", "namespace": "team"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://one.example:6443"} | (cluster or {})}],
        "users": [{"name": "me", "user": {"token": "secret"} if user is None else user}],
        "preferences": {},
    } | more


@pytest.fixture
def written(tmp_path):
    def write(content, name="kubeconfig"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


async def header_of(access):
    return (await access.credential()).header


async def test_the_current_context_says_where_and_as_whom(written):
    access = of_kubeconfig([written(config())])
    assert access.server.url == "https://one.example:6443"
    assert await header_of(access) == "Bearer secret"


async def test_another_context_may_be_named(written):
    contexts = [{"name": "there", "context": {"cluster": "c", "user": "you"}}]
    users = [{"name": "you", "user": {"username": "you", "password": "word"}}]
    access = of_kubeconfig([written(config(contexts=contexts, users=users))], "there")
    assert await header_of(access) == "Basic " + base64.b64encode(b"you:word").decode()


async def test_of_several_files_the_first_that_says_something_wins(written):
    first = written({"users": [{"name": "me", "user": {"token": "first"}}]}, "first")
    second = written(config(user={"token": "second"}), "second")
    access = of_kubeconfig([first.with_name("missing"), first, second])
    assert (access.server.url, await header_of(access)) == ("https://one.example:6443", "Bearer first")


def test_which_files_are_read(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("KUBECONFIG", f"/a{os.pathsep}{os.pathsep}~/b")
    assert [str(path) for path in files("~/c")] == ["/home/me/c"]
    assert [str(path) for path in files(None)] == ["/a", "/home/me/b"]
    monkeypatch.delenv("KUBECONFIG")
    assert [str(path) for path in files(None)] == ["/home/me/.kube/config"]


async def test_names_of_files_are_relative_to_the_file_that_names_them(written):
    written(AUTHORITY, "sub/ca.crt")
    written("of a file\n", "sub/token")
    content = config({"certificate-authority": "ca.crt"}, {"tokenFile": "token", "token": "old"})
    access = of_kubeconfig([written(content, "sub/kubeconfig")])
    assert (access.server.authority, await header_of(access)) == (AUTHORITY, "Bearer of a file")


def test_how_the_server_is_reached_and_checked(written):
    cluster = {
        "certificate-authority-data": base64.b64encode(AUTHORITY.encode()).decode(),
        "certificate-authority": "not/read",
        "insecure-skip-tls-verify": True,
        "tls-server-name": "kubernetes",
        "proxy-url": "http://proxy.example:3128",
        "server": "https://one.example:6443/base/",
    }
    server = of_kubeconfig([written(config(cluster))]).server
    assert server.authority == AUTHORITY
    assert (server.url, server.insecure, server.name) == ("https://one.example:6443/base", True, "kubernetes")
    assert server.proxy == "http://proxy.example:3128"


async def test_what_is_null_is_not_there(written):
    access = of_kubeconfig([written(config({"proxy-url": None}, {"token": "x", "exec": None, "client-key": None}))])
    assert await header_of(access) == "Bearer x"


async def test_nobody_may_ask(written):
    assert await header_of(of_kubeconfig([written(config(user={}))])) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{}", "no current-context"),
        ("a: [", "is not a kubeconfig"),
        ("[]", "is not a kubeconfig"),
        ("just words", "is not a kubeconfig"),
        (config(contexts=[]), "no context 'here'; it has none"),
        (config(clusters=[{"name": "d", "cluster": {"server": "x"}}]), "no cluster 'c'; it has d"),
        (config(users=[]), "no user 'me'"),
        (config({"certificate-authority-data": "?"}), "certificate-authority-data is not base64"),
        (config({"certificate-authority": "gone"}), "gone cannot be read"),
        (config(user={"as": "admin", "token": "x"}), "impersonates 'admin'"),
        (config(user={"auth-provider": {"name": "oidc"}}), "auth-provider"),
        (config(user={"client-certificate-data": "YWJj"}), "without its key"),
        (config(user={"exec": {"command": "x"}}), "apiVersion"),
        (config(user={"token": 7}), "is not a kubeconfig"),
        (config({"server": "10.0.0.1:6443"}), "server '10.0.0.1:6443' is not a URL such as https://10.0.0.1:6443"),
        (config({"server": "https://[::1"}), "server 'https://[::1' is not a URL"),
        (config({"server": "https://one.example:644300"}), "is not a URL"),
        (config({"proxy-url": "socks5://127.0.0.1:1080"}), "proxy-url 'socks5://127.0.0.1:1080' is not a URL such as"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(written, content, words):
    with pytest.raises(AccessError) as refused:
        of_kubeconfig([written(content)])
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


async def test_a_token_with_a_line_break_at_its_end_is_the_token(written):
    assert await header_of(of_kubeconfig([written(config(user={"token": "secret\n"}))])) == "Bearer secret"


def test_a_file_that_may_not_be_read_is_told_in_one_line(monkeypatch, tmp_path):
    """As is $KUBECONFIG of somebody who was root before."""

    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    for looking in ("exists", "stat", "read_text"):
        monkeypatch.setattr(Path, looking, refuse)
    with pytest.raises(AccessError, match=r"kubeconfig cannot be read: .*Permission denied"):
        of_kubeconfig([tmp_path / "kubeconfig"])


def test_a_user_without_a_home_has_no_kubeconfig(monkeypatch):
    def nobody(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(Path, "expanduser", nobody)
    with pytest.raises(AccessError, match="there is no kubeconfig of a user who has no home directory"):
        files(None)
