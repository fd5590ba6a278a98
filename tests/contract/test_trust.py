"""A server with a certificate, API keys, a bound and an age of connections, as a pod is made with all of them."""

import ssl
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from tests.cluster.certificates import Authority
from tests.contract.client import Client
from tests.contract.conftest import Kind
from tests.contract.test_connections import MUCH_WORK
from tests.standins.secretvolume import SecretVolume
from tests.standins.vllm.process import ServerProcess, unverified

KEY = "a-key"


@dataclass
class Guarded:
    server: ServerProcess
    authority: Authority
    certificate: SecretVolume
    keys: SecretVolume

    def client(self, key: str = KEY) -> Client:
        return Client(self.server.port, tls=unverified(), key=key)

    def renew(self) -> int:
        """Another certificate in the Secret; returns its serial number."""
        files = self.authority.issue("renewed", "embedding", hosts=["qwen.search.svc"])
        content, key = (file.read_bytes() for file in files)
        self.certificate.write(tls__crt=content, tls__key=key)
        return x509.load_pem_x509_certificate(content).serial_number

    def shown(self) -> int:
        """The serial number of the certificate that a new connection is shown."""
        shown = ssl.get_server_certificate(("127.0.0.1", self.server.port))
        return x509.load_pem_x509_certificate(shown.encode()).serial_number

    def run(self, script: str, *arguments: str) -> tuple[int, str, str]:
        ended = self.server.run_script(script, "--port", str(self.server.port), "--tls", *arguments)
        return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture(scope="module")
def guarded(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    directory: Path = tmp_path_factory.mktemp("secrets")
    authority = Authority(directory / "authority")
    content, key = (file.read_bytes() for file in authority.issue("first", "embedding", hosts=["qwen.search.svc"]))
    certificate = SecretVolume(directory / "tls", tls__crt=content, tls__key=key)
    keys = SecretVolume(directory / "keys", one=KEY)
    environment = {
        "EMBEDDING_OPERATOR_API_KEYS": str(keys.directory),
        "EMBEDDING_OPERATOR_MAX_IN_FLIGHT": "2",
        "EMBEDDING_OPERATOR_MAX_CONNECTION_AGE": "1",
        "WATCHFILES_FORCE_POLLING": "true",
        "WATCHFILES_POLL_DELAY_MS": "200",
    }
    files = (certificate.directory / "tls.crt", certificate.directory / "tls.key")
    with kind.start("guarded", latency=0.3, environment=environment, certificate=files) as server:
        yield Guarded(server, authority, certificate, keys)


def test_the_startup_probe_gets_in(guarded: Guarded) -> None:
    code, out, err = guarded.run("probe", "--model", "tiny", "--api-keys", str(guarded.keys.directory))
    assert (code, err) == (0, "")
    assert out.startswith("tiny: a vector of ")


def test_without_its_key_it_would_not(guarded: Guarded) -> None:
    code, _, err = guarded.run("probe", "--model", "tiny")
    assert code == 1
    assert "HTTP 401: the server wants an API key" in err


@pytest.mark.parametrize("path", ["/v1/models", "/version", "/tokenize", "/rerank", "/load", "/docs"])
def test_every_path_is_guarded_also_those_that_vllms_own_keys_leave_open(guarded: Guarded, path: str) -> None:
    assert guarded.client("another").get(path).status == 401
    assert guarded.client().get(path).status != 401


@pytest.mark.parametrize("path", ["/health", "/metrics", "/-/ready", "/-/inflight"])
def test_probes_and_scrapes_need_no_key(guarded: Guarded, path: str) -> None:
    assert guarded.client("").get(path).status == 200


def test_above_the_bound_requests_are_refused_and_below_it_answered(guarded: Guarded) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: guarded.client().embed(MUCH_WORK), range(8)))
    statuses = Counter(answer.status for answer in answers)
    assert statuses[200] >= 2
    assert statuses[503] >= 1
    assert statuses.total() == statuses[200] + statuses[503]
    refused = next(answer for answer in answers if answer.status == 503)
    assert refused.headers["retry-after"] == "1"
    assert refused.json["error"]["code"] == 503


def test_a_connection_that_lasts_is_closed_with_a_good_answer(guarded: Guarded) -> None:
    """So the server tells the middleware who asks."""
    client = guarded.client()
    with client.keeping() as connection:
        for _ in range(1_000_000):
            answer = client.get("/v1/models")
            assert answer.status == 200
            if answer.headers.get("connection") == "close":
                return
            assert connection.sock is not None
    pytest.fail("the connection was kept")


def test_each_renewal_of_the_certificate_is_used_without_a_restart(guarded: Guarded) -> None:
    """By inotify the real one misses the second: the files that it watches are gone with the first."""
    for _ in range(3):
        serial = guarded.renew()
        while guarded.shown() != serial:
            assert guarded.server.process.poll() is None
        assert guarded.client().get("/v1/models").status == 200


def test_the_drain_ends_when_all_is_answered(guarded: Guarded) -> None:
    code, out, _ = guarded.run("drain", "--timeout", "60", "--settle", "0")
    guarded.server.flag.unlink()
    assert code == 0
    assert "drained in" in out
