"""The command line: what it says of itself, and how it refuses."""

import contextlib
import io
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from embedding_operator import cli
from embedding_operator.commands import CLUSTER, COMMANDS, Command

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/minilm-cpu.yaml"
RUN = ["run", "--image", "registry.example/operator:1", "--health-port", "0"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ([], ["Look at what runs:", "run the operator", "stage a model's weights", "COMMAND --help"]),
        (["run"], ["--kubeconfig FILE", "--image", "outside a cluster", "exit codes"]),
        (["explain"], ["-f", "--filename", "known problems", "Needs no cluster", "exit codes"]),
        (["stage"], ["--spec JSON", '"repo"', "MODELSCOPE_API_TOKEN", "exit codes"]),
    ],
)
def test_help_teaches(command: list[str], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(SystemExit):
        cli.main([*command, "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert [word for word in words if word not in told] == []


def test_help_is_a_command_too(capsys: pytest.CaptureFixture[str]) -> None:
    pages = []
    for words in (["help", "status"], ["status", "--help"], ["help"], ["--help"]):
        with contextlib.suppress(SystemExit):
            assert cli.main(words) == 0
        pages.append(capsys.readouterr().out)
    assert pages[0] == pages[1] != pages[2] == pages[3]
    assert cli.main(["help", "stats"]) == 1
    assert "there is no command 'stats': status, " in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_page_has_the_same_parts_and_fits(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        cli.main([command.name, "--help"])
    page = capsys.readouterr().out
    assert page.startswith(f"usage: embedding-operator {command.name}")
    assert "{prog}" not in page
    assert [line for line in page.splitlines() if len(line) > 80 and not line.startswith("  ")] == []
    if command.group != CLUSTER:
        assert command.name == "help" or "\nexamples:\n" in page
        assert command.name in ("help", "completion") or "\nexit codes: 0 " in page


def test_as_a_plugin_of_kubectl_it_speaks_of_itself_as_that(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/local/bin/kubectl-embeddings"])
    with pytest.raises(SystemExit):
        cli.main(["status", "--help"])
    page = capsys.readouterr().out
    assert page.startswith("usage: kubectl embeddings status ")
    assert "  kubectl embeddings status --watch " in page
    assert cli.main(["nothing"]) == 2
    assert capsys.readouterr().err.startswith("kubectl embeddings: there is no command 'nothing'")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["statsu"], "there is no command 'statsu': did you mean 'status'?"),
        (["-n", "x", "status"], "a command goes first: one of status, "),
        (["status", "--nonsense"], "unrecognized arguments: --nonsense\nsee: embedding-operator status --help"),
    ],
)
def test_what_is_misspelt_is_said_with_a_hint(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = 0
    try:
        code = cli.main(words)
    except SystemExit as ended:
        code = int(ended.code or 0)
    assert code == 2
    assert told in capsys.readouterr().err


def test_help_loads_no_more_than_it_shows() -> None:
    """A shell that completes a word waits for it."""
    heavy = "{'aiohttp', 'kopf', 'yaml', 'msgspec', 'pydantic', 'asyncio'} & set(sys.modules)"
    script = f"import sys\nfrom embedding_operator.cli import main\nmain(['--help'])\nassert not {heavy}, {heavy}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def called(*words: str, stdout: int = subprocess.PIPE, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """As a process of its own, whose standard output has a buffer."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-m", "embedding_operator.cli", *words]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, check=False, env=inherited | environment)


@pytest.mark.parametrize("words", [("explain", "-f", str(EXAMPLE)), ("--help",), ("status", "-h"), ("--version",)])
def test_who_reads_no_further_gets_no_complaint(words: tuple[str, ...]) -> None:
    """`embedding-operator explain ... | head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    done = called(*words, stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (cli.BROKEN_PIPE, b"")


@pytest.mark.parametrize("encoding", ["gbk", "latin-1", "ascii"])
def test_manifests_are_utf_8_whatever_the_terminal_is(encoding: str) -> None:
    """As kubectl reads and writes them; GBK is the locale of many in China, and the scripts hold Korean, too."""
    done = called("render", "-f", str(EXAMPLE), PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == called("render", "-f", str(EXAMPLE), PYTHONIOENCODING="utf-8").stdout
    assert "안" in done.stdout.decode()


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


def test_what_a_terminal_cannot_show_ends_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.TextIOWrapper(Terminal(), encoding="gbk")
    monkeypatch.setattr("sys.stdout", shown)
    assert cli.main(["render", "-f", str(EXAMPLE)]) == 0
    shown.seek(0)
    assert "name: minilm" in shown.read()


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
    told = f"no way to an API server (there is no file {missing}): name a kubeconfig with --kubeconfig or $KUBECONFIG"
    assert capsys.readouterr().err == f"embedding-operator run: {told}\n"


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


@pytest.mark.parametrize(
    ("words", "field", "names"),
    [
        ("try qwen -n search one two", "texts", ["one", "two"]),
        ("try qwen one -n search two", "texts", ["one", "two"]),
        ("try -n search qwen -- one -two", "texts", ["one", "-two"]),
        ("status a -n search b", "names", ["a", "b"]),
        ("bench a -n search b", "names", ["a", "b"]),
    ],
)
def test_options_may_stand_among_names_and_texts(words: str, field: str, names: list[str]) -> None:
    arguments = cli.parsed(words.split())
    assert (arguments.namespace, getattr(arguments, field)) == ("search", names)


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_what_no_command_knows_is_told_by_each(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.parsed([command, "--of-no-command"])
    assert ended.value.code == 2
    assert f"see: embedding-operator {command} --help" in capsys.readouterr().err
