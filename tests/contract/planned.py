"""A vLLM on this machine, double or real, with the command line and the environment of a pod that is planned."""

from pathlib import Path
from typing import Any, Literal

from embedding_operator.planning import scripts
from embedding_operator.staging.context import context_length
from images.vllm_cpu import recipe
from tests.contract import checkpoints
from tests.contract.conftest import RELEASE, vllm_executable
from tests.standins.vllm.process import ServerProcess, write_model
from tests.unit.planning import given
from tests.unit.planning.combinations import planned

# what the process that the tests start says itself
ITS_OWN = ("--served-model-name", "--runner", "--port", "--middleware")


def server(
    directory: Path, repo: str, kind: Literal["text", "vision"], *, real: bool = True, serving: dict[str, Any]
) -> ServerProcess:
    """One that serves a tiny checkpoint of this kind as a service serves `repo` on a CPU; not yet started."""
    state, files = directory / "server", directory / "model"
    if real:
        checkpoints.make(kind, files)
    else:
        write_model(files, hidden_size=checkpoints.SIZE, max_position_embeddings=checkpoints.CONTEXT)
    plan = planned("CPU", repo, RELEASE, context_length(files), serving=serving)
    args = list(plan.status.resolved.args or ())[3:]
    assert args, given.conditions(plan)
    for name in ITS_OWN:
        place = args.index(name)
        del args[place : place + 2]
    (container,) = given.child(plan, "Deployment")["spec"]["template"]["spec"]["containers"]
    variables = {variable["name"]: variable["value"] for variable in container["env"]}
    flags = [word.replace(scripts.MOUNT_PATH, str(state / "scripts")) for word in args]
    if not real:
        variables |= {"VLLM_DOUBLE_VERSION": RELEASE, "VLLM_DOUBLE_START_SECONDS": "0.2"}
        return ServerProcess(state, files, ["tiny"], flags=flags, environment=variables)
    return ServerProcess(
        state,
        files,
        ["tiny"],
        vllm=vllm_executable(),
        flags=flags,
        environment={**recipe.SERVER_ENV, **variables, "HOME": str(directory)},
        start_timeout=300,
    )
