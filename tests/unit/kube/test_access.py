"""A real server with TLS, and who may ask it."""

import base64
import contextlib
import dataclasses
import ssl

import pytest
from aiohttp import web

from embedding_operator.kube.access import Access, AccessError, Certificate, Credential, Server, given, token_file
from embedding_operator.kube.connection import TRANSPORT_ERRORS, Connection, connect
from embedding_operator.kube.incluster import of_the_pod
from tests.cluster.certificates import Authority


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "pki")


@contextlib.asynccontextmanager
async def guarded(authority, hosts=("127.0.0.1",)):
    """The URL of a server that tells its callers who they are, by certificate and by header."""

    async def who(request):
        certificate = request.transport.get_extra_info("peercert")
        names = [name[0][1] for name in certificate["subject"]] if certificate else []
        token = request.headers.get("Authorization")
        return web.json_response({"names": names, "token": token}, status=401 if token == "Bearer old" else 200)

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue("server", "server", hosts=hosts))
    tls.load_verify_locations(authority.certificate)
    tls.verify_mode = ssl.CERT_OPTIONAL
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", who)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def answer(access):
    connection = Connection(access)
    try:
        async with await connection.request("GET", "/x") as response:
            return await response.json()
    finally:
        await connection.close()


def client(authority, name):
    certificate, key = authority.issue(name, name)
    return Certificate(certificate.read_text(), key.read_text())


async def test_a_client_certificate_says_who_asks(authority):
    async with guarded(authority) as url:
        server = Server(url, authority.certificate.read_text())
        me = Credential(certificate=client(authority, "me"))
        assert await answer(Access(server, given(me))) == {"names": ["me"], "token": None}


async def test_a_renewed_certificate_is_used_from_then_on(authority):
    async with guarded(authority) as url:
        several = [Credential(certificate=client(authority, name), expires=0.0) for name in ("one", "two", "two")]

        async def renew():
            return several.pop(0)

        connection = Connection(Access(Server(url, authority.certificate.read_text()), renew))
        names = []
        while several:
            async with await connection.request("GET", "/x") as response:
                names += (await response.json())["names"]
        await connection.close()
        assert names == ["one", "two", "two"]


async def test_a_server_of_another_authority_is_not_believed(authority, tmp_path):
    async with guarded(authority) as url:
        other = Server(url, Authority(tmp_path / "other").certificate.read_text())
        with pytest.raises(TRANSPORT_ERRORS, match="certificate verify failed"):
            await answer(Access(other, given(Credential("t"))))
        trusting = dataclasses.replace(other, insecure=True)
        assert (await answer(Access(trusting, given(Credential("t")))))["token"] == "Bearer t"


async def test_the_name_in_its_certificate_may_be_another_than_in_its_url(authority):
    async with guarded(authority, hosts=("kubernetes",)) as url:
        server = Server(url, authority.certificate.read_text())
        with pytest.raises(TRANSPORT_ERRORS, match="IP address mismatch"):
            await answer(Access(server, given(Credential("t"))))
        named = dataclasses.replace(server, name="kubernetes")
        assert (await answer(Access(named, given(Credential("t")))))["token"] == "Bearer t"


async def test_kopf_is_told_the_same_and_anew_after_a_refusal(authority, monkeypatch):
    monkeypatch.setattr("embedding_operator.kube.access._NEW_SECONDS", -1.0)
    certificate = client(authority, "me")
    several = [Credential("one", certificate=certificate), Credential(basic=("me", "word"))]

    async def renew():
        return several.pop(0)

    connection = Connection(Access(Server("https://x", "PEM", insecure=True, proxy="http://p"), renew))
    assert await connection.credentials() == {
        "server": "https://x",
        "ca_data": "PEM",
        "insecure": True,
        "token": "one",
        "username": None,
        "password": None,
        "certificate_data": certificate.certificate,
        "private_key_data": certificate.key,
        "proxy_url": "http://p",
    }
    again = await connection.credentials()
    assert (again["token"], again["username"], again["password"]) == (None, "me", "word")


async def test_a_token_that_is_refused_is_not_sent_twice(authority, monkeypatch):
    monkeypatch.setattr("embedding_operator.kube.access._NEW_SECONDS", -1.0)
    several = [Credential("old"), Credential("new")]

    async def renew():
        return several.pop(0)

    async with guarded(authority) as url:
        connection = Connection(Access(Server(url, authority.certificate.read_text()), renew))
        statuses = []
        for _ in range(2):
            async with await connection.request("GET", "/x") as response:
                statuses.append(response.status)
        await connection.close()
    assert statuses == [401, 200]


async def test_a_pod_reaches_it_by_its_service_account(authority, tmp_path, monkeypatch):
    (tmp_path / "ca.crt").write_text(authority.certificate.read_text())
    (tmp_path / "token").write_text("first\n")
    async with guarded(authority) as url:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", url.rpartition(":")[2])
        assert (await answer(of_the_pod(tmp_path)))["token"] == "Bearer first"


async def test_a_token_in_a_file_is_read_again_from_time_to_time(tmp_path, monkeypatch):
    monkeypatch.setattr("embedding_operator.kube.access._TOKEN_SECONDS", -1.0)
    (tmp_path / "token").write_text("first\n")
    access = Access(Server("https://x"), token_file(tmp_path / "token"))
    assert (await access.credential()).token == "first"
    (tmp_path / "token").write_text("second\n")
    assert (await access.credential()).token == "second"


def test_an_ipv6_address_stands_in_brackets(tmp_path, monkeypatch):
    (tmp_path / "ca.crt").write_text("PEM")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00:10:96::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert of_the_pod(tmp_path).server.url == "https://[fd00:10:96::1]:443"


async def test_a_pod_without_its_service_account_is_told_so(monkeypatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    with pytest.raises(AccessError, match=r"serviceaccount/ca.crt cannot be read"):
        await connect()


def test_a_certificate_that_is_none_is_told(authority):
    with pytest.raises(AccessError, match="certificates of https://x are not usable"):
        Server("https://x", authority="no PEM").tls(None)
    with pytest.raises(AccessError, match="certificates of https://x are not usable"):
        Server("https://x", authority.certificate.read_text()).tls(Certificate("no", "PEM"))


def test_nothing_secret_is_shown(authority):
    shown = repr(Credential("hidden", ("me", "hidden"), Certificate("public", "hidden")))
    assert "hidden" not in shown
    assert base64.b64encode(b"me:hidden").decode() in str(Credential(basic=("me", "hidden")).header)
