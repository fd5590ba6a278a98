"""Credentials from a program that the kubeconfig names, as cloud providers have them.

The protocol is client.authentication.k8s.io/v1 (and v1beta1), "client-go credential plugins" in Kubernetes' documents.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from embedding_operator.kube.access import AccessError, Certificate, Credential, now

EXTENSION: Final = "client.authentication.k8s.io/exec"
_SECONDS: Final = 60.0  # for a program that asks nobody anything
_EARLY: Final = 10.0  # seconds before a credential's end it is renewed


class _Variable(msgspec.Struct):
    name: str
    value: str


class Plugin(msgspec.Struct, rename="camel"):
    """The program, as the kubeconfig tells it."""

    command: str
    api_version: str
    args: list[str] = []
    env: list[_Variable] = []
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: str = "IfAvailable"


class Shown(msgspec.Struct, rename="kebab", omit_defaults=True):
    """The cluster, as the program is told of it."""

    server: str
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool = False
    certificate_authority_data: str = ""
    proxy_url: str = ""
    config: Any = None


class _Status(msgspec.Struct, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: datetime | None = None


class _Answer(msgspec.Struct, rename="camel"):
    api_version: str
    status: _Status


def credential_of(plugin: Plugin, cluster: Shown | None) -> Callable[[], Awaitable[Credential]]:
    """Runs the program whenever a credential is asked for; raises AccessError if it has none."""

    async def ask() -> Credential:
        return _credential(plugin, await _output(plugin, cluster))

    return ask


async def _output(plugin: Plugin, cluster: Shown | None) -> bytes:
    interactive = plugin.interactive_mode != "Never" and sys.stdin is not None and sys.stdin.isatty()
    if plugin.interactive_mode == "Always" and not interactive:
        raise AccessError(f"{plugin.command} wants to ask somebody, and there is no terminal")
    try:
        process = await asyncio.create_subprocess_exec(
            plugin.command,
            *plugin.args,
            env=_environment(plugin, cluster, interactive),
            stdin=None if interactive else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=None if interactive else asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise AccessError(_joined(f"{plugin.command} cannot be run: {error.strerror}", plugin.install_hint)) from None
    try:
        async with asyncio.timeout(None if interactive else _SECONDS):
            output, told = await process.communicate()
    except TimeoutError:
        raise AccessError(f"{plugin.command} gave no credential within {_SECONDS:.0f} s") from None
    finally:
        if process.returncode is None:  # nobody waits for it any more
            process.kill()
            await process.wait()
    if process.returncode:
        why = (told or b"").decode(errors="replace")
        raise AccessError(_joined(f"{plugin.command} ended with {process.returncode}", why))
    return output


def _environment(plugin: Plugin, cluster: Shown | None, interactive: bool) -> dict[str, str]:
    spec: dict[str, Any] = {"interactive": interactive}
    if cluster is not None:
        spec["cluster"] = msgspec.to_builtins(cluster)
    info = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}
    own = {each.name: each.value for each in plugin.env}
    return {**os.environ, **own, "KUBERNETES_EXEC_INFO": json.dumps(info)}


def _credential(plugin: Plugin, output: bytes) -> Credential:
    try:
        answer = msgspec.json.decode(output, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # not what it says: there is a token in it
        raise AccessError(f"{plugin.command} did not answer with an ExecCredential: {error}") from None
    if answer.api_version != plugin.api_version:
        raise AccessError(f"{plugin.command} answers in {answer.api_version}, the kubeconfig says {plugin.api_version}")
    status = answer.status
    pair = status.client_certificate_data, status.client_key_data
    if not status.token and not all(pair):
        raise AccessError(f"{plugin.command} answered without a token and without a certificate")
    return Credential(
        token=status.token or None,
        certificate=Certificate(*pair) if all(pair) else None,
        expires=_end(status.expiration_timestamp),
    )


def _end(timestamp: datetime | None) -> float | None:
    if timestamp is None:
        return None
    at = timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)
    return now() + (at - datetime.now(UTC)).total_seconds() - _EARLY


def _joined(said: str, more: str) -> str:
    return ": ".join(part for part in (said, " ".join(more.split())) if part)
