"""Kubeconfig files, as kubectl reads them: several are merged, names in them are relative to each file.

The format is that of k8s.io/client-go/tools/clientcmd/api/v1. Two things that it may hold are refused and not passed
over, because without them somebody else would be asking: impersonation, and the auth providers that Kubernetes 1.26
took away.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
import yaml

from embedding_operator.kube.access import (
    Access,
    AccessError,
    Certificate,
    Credential,
    Server,
    decoded,
    given,
    text_of,
    token_file,
)
from embedding_operator.kube.execplugin import EXTENSION, Plugin, Shown, credential_of

_DEFAULT: Final = Path("~/.kube/config")
_T = TypeVar("_T")


class Cluster(msgspec.Struct, rename="kebab"):
    """Where."""

    server: str
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""
    extensions: list[dict[str, Any]] = []


class User(msgspec.Struct, rename="kebab"):
    """As whom."""

    token: str = ""
    token_file: str = msgspec.field(default="", name="tokenFile")
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    username: str = ""
    password: str = ""
    exec: Plugin | None = None
    auth_provider: Any = None
    impersonate: str = msgspec.field(default="", name="as")


class _Pair(msgspec.Struct):
    cluster: str = ""
    user: str = ""
    namespace: str = ""


class _Context(msgspec.Struct):
    name: str
    context: _Pair


class _Cluster(msgspec.Struct):
    name: str
    cluster: Cluster


class _User(msgspec.Struct):
    name: str
    user: User


class _Config(msgspec.Struct):
    clusters: list[_Cluster] = []
    users: list[_User] = []
    contexts: list[_Context] = []
    current_context: str = msgspec.field(default="", name="current-context")


def files(named: Path | str | None) -> list[Path]:
    """The one that is named, else those of $KUBECONFIG, else ~/.kube/config. Raises AccessError."""
    several = os.environ.get("KUBECONFIG", "").split(os.pathsep) if named is None else [named]
    try:
        return [Path(part).expanduser() for part in several if part] or [_DEFAULT.expanduser()]
    except RuntimeError:  # of a user without a name
        raise AccessError("there is no kubeconfig of a user who has no home directory") from None


def of_kubeconfig(paths: Sequence[Path], context: str | None = None) -> Access:
    """The way that the context names (the current one without). Raises AccessError."""
    there = [path for path in paths if _is_there(path)]  # as kubectl: of several, some may not be there
    if not there:
        raise AccessError(f"there is no file {paths[0]}")
    clusters: dict[str, Cluster] = {}
    users: dict[str, User] = {}
    contexts: dict[str, _Pair] = {}
    for path in there:
        config = _read(path)
        context = context or config.current_context
        for cluster in config.clusters:
            clusters.setdefault(cluster.name, _cluster_at(cluster.cluster, path.parent))
        for somebody in config.users:
            users.setdefault(somebody.name, _user_at(somebody.user, path.parent))
        for each in config.contexts:
            contexts.setdefault(each.name, each.context)
    if not context:
        raise AccessError(f"{there[0]} has no current-context: choose one with `kubectl config use-context`")
    pair = _named(contexts, context, "context")
    server = _named(clusters, pair.cluster, "cluster")
    user = _named(users, pair.user, "user") if pair.user else User()
    where = _server(server)
    return Access(where, _credential(user, pair.user, _shown(server, where)), pair.namespace or "default")


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # who may not look is told when it is read
        return True


def _read(path: Path) -> _Config:
    try:
        content = _without_nulls(yaml.safe_load(text_of(path)))
        return msgspec.convert({} if content is None else content, _Config)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise AccessError(f"{path} is not a kubeconfig: {' '.join(str(error).split())}") from None


def _without_nulls(value: Any) -> Any:
    """In Go's JSON a null is what is not there."""
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def _named(known: dict[str, _T], name: str, what: str) -> _T:
    if name not in known:
        raise AccessError(f"the kubeconfig has no {what} {name!r}; it has {', '.join(sorted(known)) or 'none'}")
    return known[name]


def _at(directory: Path, name: str) -> str:
    return str(directory.absolute() / name) if name else ""


def _cluster_at(cluster: Cluster, directory: Path) -> Cluster:
    return msgspec.structs.replace(cluster, certificate_authority=_at(directory, cluster.certificate_authority))


def _user_at(user: User, directory: Path) -> User:
    plugin = user.exec
    if plugin is not None and os.sep in plugin.command:  # else it is looked for in PATH
        plugin = msgspec.structs.replace(plugin, command=_at(directory, plugin.command))
    return msgspec.structs.replace(
        user,
        token_file=_at(directory, user.token_file),
        client_certificate=_at(directory, user.client_certificate),
        client_key=_at(directory, user.client_key),
        exec=plugin,
    )


def _pem(data: str, file: str, what: str) -> str | None:
    if data:
        return decoded(data, what)
    return text_of(Path(file)) if file else None


def _server(cluster: Cluster) -> Server:
    _check(cluster.server, "server", "https://10.0.0.1:6443")
    if cluster.proxy_url:
        _check(cluster.proxy_url, "proxy-url", "http://proxy:3128")
    return Server(
        url=cluster.server.rstrip("/"),
        authority=_pem(cluster.certificate_authority_data, cluster.certificate_authority, "certificate-authority-data"),
        insecure=cluster.insecure_skip_tls_verify,
        name=cluster.tls_server_name or None,
        proxy=cluster.proxy_url or None,
    )


def _check(url: str, what: str, example: str) -> None:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good:
        shown = url.rpartition("@")[2]  # without a password
        raise AccessError(f"the kubeconfig's {what} {shown!r} is not a URL such as {example}")


def _credential(user: User, name: str, shown: Shown) -> Callable[[], Awaitable[Credential]]:
    if user.impersonate:
        raise AccessError(f"user {name!r} impersonates {user.impersonate!r} (as): name a user with rights of its own")
    if user.auth_provider is not None:
        raise AccessError(f"user {name!r} has an auth-provider, gone since Kubernetes 1.26: use an exec plugin")
    if user.exec is not None:
        return credential_of(user.exec, shown if user.exec.provide_cluster_info else None)
    pem = _pem(user.client_certificate_data, user.client_certificate, "client-certificate-data")
    key = _pem(user.client_key_data, user.client_key, "client-key-data")
    if bool(pem) != bool(key):
        raise AccessError(f"user {name!r} has a client certificate without its key, or a key without its certificate")
    certificate = Certificate(pem, key) if pem and key else None
    if user.token_file:
        return token_file(Path(user.token_file), certificate)
    basic = (user.username, user.password) if user.username else None
    return given(Credential(user.token.strip() or None, basic, certificate))


def _shown(cluster: Cluster, where: Server) -> Shown:
    """What a plugin may be told of the cluster; the authority as data, though the kubeconfig may name a file."""
    extensions = [each.get("extension") for each in cluster.extensions if each.get("name") == EXTENSION]
    return Shown(
        server=cluster.server,
        tls_server_name=cluster.tls_server_name,
        insecure_skip_tls_verify=cluster.insecure_skip_tls_verify,
        certificate_authority_data=base64.b64encode((where.authority or "").encode()).decode(),
        proxy_url=cluster.proxy_url,
        config=extensions[0] if extensions else None,
    )
