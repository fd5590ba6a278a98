"""The command line: what it says of itself, and how it refuses."""

import socket
from pathlib import Path

import pytest

from embedding_operator import cli

RUN = ["run", "--image", "registry.example/operator:1", "--health-port", "0"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ([], ["run the operator", "stage a model's weights"]),
        (["run"], ["--kubeconfig FILE", "--image", "outside a cluster", "exit codes"]),
        (["explain"], ["-f", "--filename", "known problems", "Needs no cluster", "exit codes"]),
        (["stage"], ["--spec JSON", '"repo"', "MODELSCOPE_API_TOKEN", "exit codes"]),
    ],
)
def test_help_teaches(command: list[str], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([*command, "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert [word for word in words if word not in told] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workers", "0"], "argument --workers: '0' is not a number from 1 on"),
        (["--workers", "many"], "argument --workers: 'many' is not a number from 1 on"),
        (["--lease-seconds", "2"], "argument --lease-seconds: '2' is not a number of seconds from 3 to 3600"),
        (["--health-port", "65536"], "argument --health-port: '65536' is not a port (0 to 65535)"),
        (["--health-port", "-1"], "argument --health-port: '-1' is not a port (0 to 65535)"),
        (["--staging-env", "PROXY"], "argument --staging-env: 'PROXY' is not NAME=VALUE"),
        (
            ["--staging-env", "https_proxy=http://u:p@proxy:1"],
            "the password in https_proxy would be readable in every Job: put the proxy's URL into a Secret, and name "
            "that by --staging-proxy-secret",
        ),
        (["--staging-proxy-secret", "/key"], "argument --staging-proxy-secret: '/key' is not NAME or NAME/KEY"),
        (["--staging-ca-bundle", "/ca.crt"], "argument --staging-ca-bundle: '/ca.crt' is not NAME or NAME/KEY"),
        (["--staging-bytes-per-second", "fast"], "'fast' is not a number of bytes from 1 on, such as 100Mi"),
        (["--staging-bytes-per-second", "0"], "'0' is not a number of bytes from 1 on, such as 100Mi"),
        (["--log-level", "loud"], "invalid choice: 'loud'"),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused_by_name(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*RUN, *arguments])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "..", "a/status", "a?fieldManager=x", "a b", "A"])
@pytest.mark.parametrize("arguments", [["history"], ["rollback"], ["history", "x", "-n"]])
def test_a_name_that_would_lead_elsewhere_in_the_api_is_refused(
    arguments: list[str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments, name])
    assert ended.value.code == 2
    assert f"{name!r} is not the name of an object: those have a-z, 0-9, - and . only" in capsys.readouterr().err


def test_a_kubeconfig_that_is_not_there_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "nowhere"
    assert cli.main([*RUN, "--kubeconfig", str(missing)]) == 2
    assert capsys.readouterr().err == f"embedding-operator run: there is no kubeconfig {missing}\n"


@pytest.mark.parametrize("content", ["{}", "a: [", "current-context: gone"])
def test_a_file_that_is_no_kubeconfig_is_refused_in_one_line(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "kubeconfig"
    broken.write_text(content)
    assert cli.main([*RUN, "--kubeconfig", str(broken)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("embedding-operator run: no way to an API server (")
    assert line.endswith("name a kubeconfig with --kubeconfig or $KUBECONFIG")


def test_a_health_port_that_is_taken_is_told_with_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: me}}]
clusters: [{name: here, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: me, user: {}}]
"""
    )
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.main([*RUN[:-1], str(port), "--kubeconfig", str(kubeconfig)]) == 2
    assert f"port {port} is taken: choose another --health-port" in capsys.readouterr().err
