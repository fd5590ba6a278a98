"""Where the API server is, and by which way."""

import kopf
import pytest

from embedding_operator.kube.access import AccessError
from embedding_operator.kube.connection import proxy_for
from tests.unit.kube.serving import connected

VARIABLES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_the_environments_proxy_is_used(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert proxy_for("https://10.96.0.1:443") == "http://proxy.example:3128"


def test_a_proxy_may_be_written_without_its_scheme(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    assert proxy_for("https://10.96.0.1:443") == "http://proxy.example:3128"


@pytest.mark.parametrize(
    "no_proxy", ["10.96.0.1", "*", "other,10.96.0.1", "10.96.0.0/12", ".svc, 10.0.0.0/8", "fd00::/8"]
)
def test_no_proxy_is_honoured(monkeypatch, no_proxy):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    host = "[fd00:10:96::1]" if ":" in no_proxy else "10.96.0.1"
    assert proxy_for(f"https://{host}:443") is None


@pytest.mark.parametrize("no_proxy", ["10.244.0.0/16", "other", "", "10.96.0.10", "fd00::/8"])
@pytest.mark.parametrize("host", ["10.96.0.1", "api.example", "[2001:db8::1]"])
def test_who_is_not_named_in_no_proxy_is_reached_through_the_proxy(monkeypatch, no_proxy, host):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_for(f"https://{host}:443") == "http://proxy.example:3128"


def test_a_proxy_of_another_kind_is_refused(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "socks5://me:secret@proxy.example:1080")
    with pytest.raises(AccessError, match="HTTPS_PROXY is of the kind socks5, and only proxies that speak HTTP"):
        proxy_for("https://api.example:6443")


def test_without_a_proxy_there_is_none():
    assert proxy_for("https://10.96.0.1:443") is None


@pytest.mark.parametrize("proxy", [None, "http://proxy.example:3128"])
async def test_kopf_goes_through_the_same_proxy(tmp_path, proxy):
    async with connected(tmp_path, "https://10.96.0.1", proxy) as connection:
        info = kopf.ConnectionInfo(**await connection.credentials())
    assert info.proxy_url == proxy
    assert info.server == "https://10.96.0.1"
    assert info.as_http_headers() == {"Authorization": "Bearer secret"}
