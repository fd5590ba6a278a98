"""The script in a benchmark's pod, and a service that speaks HTTPS."""

from __future__ import annotations

import datetime
import ssl
from http.server import HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.unit.benchmark.driven import Pod, refusal, url


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """A certificate that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    directory.mkdir()
    crt, private = directory / "tls.crt", directory / "key"
    crt.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return crt, private


@pytest.fixture
def secured(server: HTTPServer, tmp_path: Path) -> Path:
    """The server speaks HTTPS, as `localhost`. Returns the directory of its certificate."""
    crt, private = certificate(tmp_path / "tls", "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(crt, private)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    private.unlink()
    return tmp_path / "tls"


def test_the_service_is_trusted_by_its_certificate_and_vllm_is_told(
    pod: Pod, server: HTTPServer, secured: Path
) -> None:
    ended = pod.run(url(server, "https", "localhost"), "--certificates", str(secured))
    assert ended.returncode == 0, ended.stderr
    assert all(str(call["SSL_CERT_FILE"]).endswith("/trusted.pem") for call in pod.calls)


def test_a_certificate_of_another_host_is_refused_with_what_to_do(pod: Pod, server: HTTPServer, secured: Path) -> None:
    reason, message = refusal(pod, pod.run(url(server, "https"), "--certificates", str(secured)), 3)
    assert reason == "CertificateRefused"
    assert "issue it for 127.0.0.1 as well" in message


def test_a_certificate_of_somebody_unknown_is_refused_with_what_to_do(
    pod: Pod, server: HTTPServer, secured: Path, tmp_path: Path
) -> None:
    certificate(tmp_path / "other", "localhost")
    ended = pod.run(url(server, "https", "localhost"), "--certificates", str(tmp_path / "other"))
    reason, message = refusal(pod, ended, 3)
    assert reason == "CertificateRefused"
    assert "into the same Secret as ca.crt" in message
