"""A vLLM on this machine, double or real, with the command line and the environment of a pod that is planned."""

from pathlib import Path
from typing import Any, Literal

from embedding_operator.planning import scripts
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
    state = directory / "server"
    plan = planned("CPU", repo, RELEASE, serving=serving)
    args = list(plan.status.resolved.args or ())[3:]
    assert args, given.conditions(plan)
    for name in ITS_OWN:
        place = args.index(name)
        del args[place : place + 2]
    (container,) = given.child(plan, "Deployment")["spec"]["template"]["spec"]["containers"]
    variables = {variable["name"]: variable["value"] for variable in container["env"]}
    flags = [word.replace(scripts.MOUNT_PATH, str(state / "scripts")) for word in args]
    if not real:
        model = write_model(
            directory / "model", hidden_size=checkpoints.SIZE, max_position_embeddings=checkpoints.CONTEXT
        )
        variables |= {"VLLM_DOUBLE_VERSION": RELEASE, "VLLM_DOUBLE_START_SECONDS": "0.2"}
        return ServerProcess(state, model, ["tiny"], flags=flags, environment=variables)
    return ServerProcess(
        state,
        checkpoints.make(kind, directory / "model"),
        ["tiny"],
        vllm=vllm_executable(),
        flags=flags,
        environment={**recipe.SERVER_ENV, **variables, "HOME": str(directory)},
        start_timeout=300,
    )
