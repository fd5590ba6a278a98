"""What the pod template says of the scripts is what the scripts are: paths, names, options."""

import subprocess
import sys
from inspect import getsource
from pathlib import Path
from typing import get_args

import pytest

from embedding_operator import podscripts
from embedding_operator.api.service import Task
from embedding_operator.planning import flags, scripts
from embedding_operator.planning import space as spaces
from embedding_operator.planning.families import FAMILIES, Family
from embedding_operator.podscripts import (
    closing,
    drain,
    inflight,
    keys,
    lastwords,
    launch,
    liveness,
    middleware,
    probe,
    readiness,
    space,
    state,
)
from tests.ports import free_ports
from tests.standins.secretvolume import SecretVolume
from tests.unit.planning import given
from tests.unit.planning.test_golden import SERVICES, rendered

POD = given.child(given.plan(given.service(), given.seen(cache=given.cache())), "Deployment")["spec"]["template"][
    "spec"
]
(CONTAINER,) = POD["containers"]
(GUARDED,) = given.child(given.plan(SERVICES["guarded"], given.seen(cache=given.cache())), "Deployment")["spec"][
    "template"
]["spec"]["containers"]
FILES = {Path(scripts.script_path(name)).name: source for name, source in podscripts.sources().items()}


def environment() -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in GUARDED["env"]}


def run_in_pod(command: list[str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """The command as the kubelet runs it, with its script from here and a port on which nobody listens."""
    python, script, *options = command
    assert python == "python3"
    copy = tmp_path / Path(script).name
    copy.write_text(FILES[copy.name])
    options[options.index("--port") + 1] = str(free_ports(1)[0])
    variables = {"EMBEDDING_OPERATOR_DRAIN_FLAG": str(tmp_path / "draining")}
    return subprocess.run(
        [sys.executable, "-I", str(copy), *options], env=variables, capture_output=True, text=True, check=False
    )


def test_the_startup_probes_command_is_one_that_the_script_takes(tmp_path: Path) -> None:
    ended = run_in_pod(CONTAINER["startupProbe"]["exec"]["command"], tmp_path)
    assert "refuses connections: the model is still loading" in ended.stderr


def test_the_pre_stop_hooks_command_is_one_that_the_script_takes(tmp_path: Path) -> None:
    ended = run_in_pod(CONTAINER["lifecycle"]["preStop"]["exec"]["command"], tmp_path)
    assert ended.stdout.startswith("embedding-operator drain: nothing to drain: ")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_template_that_a_family_needs_is_in_the_config_map(family: Family) -> None:
    if family.template:
        assert Path(scripts.script_path(family.template)).name in FILES


@pytest.mark.parametrize("task", get_args(Task))
def test_every_task_has_a_startup_request(task: str) -> None:
    assert task.lower() in probe.TASKS


def test_a_probes_own_patience_ends_before_the_kubelets() -> None:
    """Else the kubelet kills it, and its one line about what is missing is lost."""
    assert CONTAINER["startupProbe"]["timeoutSeconds"] > probe.TIMEOUT + probe.MEASURING


def test_the_drain_has_time_to_end_before_the_pod_is_killed() -> None:
    command = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    timeout = int(command[command.index("--timeout") + 1])
    assert POD["terminationGracePeriodSeconds"] > timeout


def test_the_server_is_started_by_the_launcher_and_listens_where_the_probes_ask() -> None:
    args = CONTAINER["args"]
    assert args[:4] == ["python3", scripts.script_path("launch"), "vllm", "serve"]
    assert args[args.index("--port") + 1] == str(CONTAINER["ports"][0]["containerPort"])


def test_the_middleware_is_named_by_its_flat_file() -> None:
    module, _, name = flags.MIDDLEWARE.partition(".")
    assert f"{module}.py" in FILES
    assert hasattr(middleware, name)


def test_probes_and_drain_ask_what_the_middleware_answers() -> None:
    assert CONTAINER["readinessProbe"]["httpGet"]["path"] == readiness.READY
    assert CONTAINER["livenessProbe"]["httpGet"]["path"] == liveness.LIVE
    for path in (inflight.INFLIGHT, liveness.LIVE):
        assert f'"{path}"' in FILES["embedding_operator_drain.py"]


def test_probes_and_drain_of_a_guarded_server_are_commands_that_the_scripts_take(tmp_path: Path) -> None:
    startup = GUARDED["startupProbe"]["exec"]["command"]
    assert startup[startup.index("--api-keys") + 1] == environment()[keys.DIRECTORY]
    startup[startup.index("--api-keys") + 1] = str(SecretVolume(tmp_path / "keys", key="x").directory)
    ended = run_in_pod(startup, tmp_path)
    assert "refuses connections: the model is still loading" in ended.stderr
    ended = run_in_pod(GUARDED["lifecycle"]["preStop"]["exec"]["command"], tmp_path)
    assert ended.stdout.startswith("embedding-operator drain: nothing to drain: ")


def test_whoever_asks_a_server_with_a_certificate_speaks_tls() -> None:
    assert [GUARDED[f"{probe}Probe"]["httpGet"]["scheme"] for probe in ("liveness", "readiness")] == ["HTTPS"] * 2
    for command in (GUARDED["startupProbe"]["exec"]["command"], GUARDED["lifecycle"]["preStop"]["exec"]["command"]):
        assert "--tls" in command


def test_keys_and_certificate_are_looked_for_where_they_are_mounted() -> None:
    mounts = {mount["name"]: mount["mountPath"] for mount in GUARDED["volumeMounts"]}
    args = GUARDED["args"]
    assert environment()[keys.DIRECTORY] == mounts["api-keys"]
    assert args[args.index("--ssl-certfile") + 1] == f"{mounts['tls']}/tls.crt"
    assert args[args.index("--ssl-keyfile") + 1] == f"{mounts['tls']}/tls.key"
    assert "--enable-ssl-refresh" in args


def test_the_middleware_reads_what_the_manifest_says_of_connections_and_bounds() -> None:
    assert environment()[closing.AGE] == "300"
    assert environment()[inflight.MOST] == "512"
    assert closing.IDLE in environment()
    (plain,) = [v["value"] for v in CONTAINER["env"] if v["name"] == closing.AGE]
    assert plain == "60"
    assert not {keys.DIRECTORY, inflight.MOST} & {variable["name"] for variable in CONTAINER["env"]}


def test_what_is_asked_for_ever_fills_no_log() -> None:
    asked = {readiness.READY, inflight.INFLIGHT, liveness.LIVE, space.SPACE}
    assert asked | inflight.UNCOUNTED <= set(flags.QUIET_PATHS.split(","))


def test_the_drain_flag_lies_on_the_volume_that_outlives_the_container() -> None:
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert Path(state.DRAIN_FLAG).parent == Path(mounts["state"])


def test_vectors_are_left_and_looked_for_where_they_are_mounted() -> None:
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    command = CONTAINER["startupProbe"]["exec"]["command"]
    assert command[command.index("--measure") + 1] == state.VECTORS
    assert Path(space.REFERENCE) == Path(mounts["space"], spaces.FILE)


@pytest.mark.parametrize("name", SERVICES)
def test_every_variable_of_our_own_is_one_that_a_script_reads(name: str) -> None:
    (deployment,) = [one for one in rendered(name) if one["kind"] == "Deployment"]
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    ours = [one["name"] for one in container["env"] if one["name"].startswith("EMBEDDING_OPERATOR_")]
    assert ours
    for variable in ours:
        assert any(f'"{variable}"' in source for source in FILES.values()), variable


def test_what_a_script_has_a_copy_of_is_the_same_everywhere() -> None:
    """Each is alone, and all of them speak of the same pod."""
    assert {script.DRAIN_FLAG for script in (launch, drain)} == {state.DRAIN_FLAG}
    assert {script.TERMINATION_LOG for script in (probe, drain, lastwords)} == {state.TERMINATION_LOG}
    assert launch.VECTORS == state.VECTORS
    assert probe.KEY == keys.KEY
    assert space.READY == readiness.READY
    assert inflight.OURS == keys.OURS
    assert getsource(probe.connect) == getsource(drain.connect)
