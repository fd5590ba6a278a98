"""Whom the driver believes to be its server, and what it tells people when it does not."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from embedding_operator.batch.errors import BatchError
from embedding_operator.batch.server import GoneError, Server
from tests.cluster.certificates import Authority

from .serving import QUICK, Double


async def guarded(directory: Path, authority: Authority) -> Double:
    """The double, with a certificate."""
    double = Double(directory)
    double.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    double.tls.load_cert_chain(*authority.issue("server", "server", hosts=("127.0.0.1",)))
    await double.up()
    return double


async def test_a_certificate_of_the_given_authority_is_believed(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    double = await guarded(tmp_path, authority)
    async with Server(double.url, ca_file=authority.certificate, patience=QUICK) as server:
        await server.ready()
    await double.down()


async def test_a_certificate_of_another_ends_the_job_and_is_not_waited_for(tmp_path: Path) -> None:
    double = await guarded(tmp_path, Authority(tmp_path / "pki"))
    other = Authority(tmp_path / "other").certificate
    for ca_file in (None, other):
        async with Server(double.url, ca_file=ca_file, patience=QUICK) as server:
            with pytest.raises(BatchError, match=r"is not trusted: give its CA .--ca-file.") as caught:
                await server.ready()
        assert caught.value.exit_code == 3
    await double.down()


async def test_a_file_without_certificates_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("nothing")
    for place in (tmp_path / "ca.crt", tmp_path / "gone.crt"):
        with pytest.raises(BatchError, match="holds no CA certificate that can be read"):
            async with Server("https://127.0.0.1:1", ca_file=place):
                pass


@pytest.mark.parametrize("url", ["", "x", "ftp://host"])
async def test_what_is_no_address_is_told_of(url: str) -> None:
    with pytest.raises(BatchError, match="is no address of a server: write http://HOST:PORT"):
        async with Server(url):
            pass


async def test_a_server_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    double = Double(tmp_path)
    double.engine.latency = 60
    await double.up()
    async with Server(double.url, patience=replace(QUICK, answer=0.1)) as server:
        with pytest.raises(GoneError, match="no answer came in time"):
            await server.post("/v1/embeddings", b'{"input": "x"}')
    await double.down()
