"""The pods of an EmbeddingJob: small ones that list and join, and workers.

A worker is the server of a service with these weights, as a native sidecar, and beside it a driver of the operator's
image. The sidecar's startup probe holds the driver back until one real request was answered; when the driver ends, the
kubelet ends the server. Only the driver sees the data and what opens it. With a `serviceRef` there is the driver alone.
"""

from collections.abc import Sequence

from embedding_operator.api import names
from embedding_operator.api.job import EmbeddingJob
from embedding_operator.api.json import JsonObject
from embedding_operator.api.modelcache import Download
from embedding_operator.planning.commandline import document, literal
from embedding_operator.planning.flags import SERVER_PORT
from embedding_operator.planning.jobdoc import INPUT_MOUNT, OUTPUT_MOUNT, PROGRESS_PORT
from embedding_operator.planning.jobreport import DRIVER
from embedding_operator.planning.network import environment, with_ca_bundle
from embedding_operator.planning.onenode import beside_any
from embedding_operator.planning.pod import Belonging, server_template
from embedding_operator.planning.podtemplate import SERVER
from embedding_operator.planning.resolve import Resolution
from embedding_operator.planning.spread import constraints_of_job
from embedding_operator.planning.stagejob import StagingSite
from embedding_operator.planning.weights import Weights

SERVICE_CA_FILE = "/etc/embedding-operator/service-ca/ca.crt"
OWN_SERVER = f"http://127.0.0.1:{SERVER_PORT}"
_USER = 65532
_GRACE = 30  # seconds; the driver ends within one
_S3_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")  # variables, and keys of the Secret
_API_KEY = "EMBEDDINGS_API_KEY"
_TOKEN = "HTTP_SOURCE_TOKEN"  # noqa: S105  (a variable's name)
_SMALL: JsonObject = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}
_DRIVING: JsonObject = {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "4Gi"}}


def small_template(
    job: EmbeddingJob, site: StagingSite, task: str, args: Sequence[str], where: JsonObject
) -> JsonObject:
    """The template of the one pod of a phase, `where` being its nodeSelector and tolerations."""
    volumes, mounts = _data(job, None)
    container = _container(job, site, args, mounts, _SMALL)
    pod = _base(job, site, None) | {"containers": [container], "volumes": [*volumes, _scratch()]} | where
    return {"metadata": {"labels": names.job_labels(job.metadata.name, task)}, "spec": _trusting(job, site, pod)}


def driver_template(job: EmbeddingJob, site: StagingSite, args: Sequence[str], where: JsonObject) -> JsonObject:
    """A worker without a server of its own; `where` is all that is asked of the scheduler."""
    template = small_template(job, site, names.WORK_TASK, args, where)
    (container,) = template["spec"]["containers"]
    driver = container | {"resources": _DRIVING}
    pod = template["spec"] | {"containers": [driver], "terminationGracePeriodSeconds": _GRACE}
    return template | {"spec": _let_in(job, pod)}


def worker_template(
    job: EmbeddingJob,
    site: StagingSite,
    args: Sequence[str],
    resolved: Resolution,
    weights: Weights,
    scripts_name: str,
) -> JsonObject:
    """A worker with a server of its own. Raises PlanError for a podTemplate that touches what is the operator's."""
    name = job.metadata.name
    belonging = Belonging(
        labels=names.job_labels(name, names.WORK_TASK),
        annotations={},
        spread=constraints_of_job(name, resolved.spread),
        beside=beside_any(weights.claim),
    )
    template = server_template(belonging, resolved, weights, scripts_name)
    rendered = template["spec"]
    volumes, mounts = _data(job, weights.claim)
    driver = _container(job, site, args, mounts, _DRIVING)
    own = _trusting(job, site, {"containers": [driver], "volumes": [*volumes, _scratch()]})
    base = _base(job, site, weights.claim)
    pod = rendered | {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": _GRACE,
        "securityContext": base["securityContext"] | rendered["securityContext"],
        "initContainers": [
            *rendered.get("initContainers", ()),
            *(_sidecar(container) for container in rendered["containers"]),
        ],
        "containers": own["containers"],
        "volumes": [*_writable(rendered["volumes"], job, weights.claim), *own["volumes"]],
    }
    if secrets := [*rendered.get("imagePullSecrets", ()), *base.get("imagePullSecrets", ())]:
        pod["imagePullSecrets"] = list({secret["name"]: secret for secret in secrets}.values())
    return {"metadata": template["metadata"], "spec": pod}


def _let_in(job: EmbeddingJob, pod: JsonObject) -> JsonObject:
    """With what the service wants to see of its callers, and what they trust it by."""
    reference = job.spec.service_ref
    (driver,) = pod["containers"]
    if reference is not None and (key := reference.api_key_secret_ref):
        driver = driver | {"env": [*driver["env"], _from_secret(_API_KEY, key.name, key.key)]}
    if reference is None or reference.ca_bundle_ref is None:
        return pod | {"containers": [driver]}
    bundle, (folder, _, file) = reference.ca_bundle_ref, SERVICE_CA_FILE.rpartition("/")
    mount = {"name": "service-ca", "mountPath": folder, "readOnly": True}
    source = {"name": bundle.name, "items": [{"key": bundle.key, "path": file}]}
    return pod | {
        "containers": [driver | {"volumeMounts": [*driver["volumeMounts"], mount]}],
        "volumes": [*pod["volumes"], {"name": "service-ca", "configMap": source}],
    }


def _sidecar(container: JsonObject) -> JsonObject:
    """A container that runs as long as the driver does. Nobody is sent to the server, so it is neither ready nor
    drained."""
    kept = {field: value for field, value in container.items() if field != "readinessProbe"}
    if container["name"] == SERVER:
        hooks = {hook: value for hook, value in kept.pop("lifecycle", {}).items() if hook != "preStop"}
        kept |= {"lifecycle": hooks} if hooks else {}
    return kept | {"restartPolicy": "Always"}


def _base(job: EmbeddingJob, site: StagingSite, weights_claim: str | None) -> JsonObject:
    secrets = [{"name": name} for name in site.pull_secrets]
    return {
        "restartPolicy": "Never",
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "securityContext": _security_context(job, weights_claim),
    } | ({"imagePullSecrets": secrets} if secrets else {})


def _security_context(job: EmbeddingJob, weights_claim: str | None) -> JsonObject:
    """Of the pod: what volumes are opened with. A kubelet would give a claim that holds other files than the output,
    too, to our group, so there somebody must say so."""
    output = job.spec.output
    wanted = output.security_context.to_dict() if output.security_context else {}
    alone = output.claim_name is not None and output.claim_name not in (job.spec.input.claim_name, weights_claim)
    groups: JsonObject = {"fsGroup": _USER} if alone else {}
    groups |= {field: wanted[field] for field in ("fsGroup", "supplementalGroups") if field in wanted}
    policy = {"fsGroupChangePolicy": "OnRootMismatch"} if "fsGroup" in groups else {}
    return {"seccompProfile": {"type": "RuntimeDefault"}, **groups, **policy}


def _container(
    job: EmbeddingJob, site: StagingSite, args: Sequence[str], mounts: list[JsonObject], resources: JsonObject
) -> JsonObject:
    """The one that does the work, from the operator's own image."""
    output = job.spec.output
    wanted = output.security_context.to_dict() if output.security_context else {}
    user = wanted.get("runAsUser", _USER)
    return {
        "name": DRIVER,
        "image": site.image,
        "imagePullPolicy": "IfNotPresent",
        "args": [literal(arg) for arg in args],  # one variable may be the site's proxy, with its password
        "env": _environment(job, site),
        "ports": [{"name": "progress", "containerPort": PROGRESS_PORT, "protocol": "TCP"}],
        "resources": resources,
        "securityContext": {
            "runAsUser": user,
            "runAsGroup": wanted.get("runAsGroup", _USER),
            "runAsNonRoot": user != 0,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "File",
        "volumeMounts": [*mounts, {"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108  (the pod's own)
    }


def _environment(job: EmbeddingJob, site: StagingSite) -> list[JsonObject]:
    """The site's proxies and what opens the addresses, where there are any: Secrets come by the kubelet."""
    places = (job.spec.input, job.spec.output)
    if not any(place.url for place in places):
        return []
    variables = environment(site.env, site.proxy, Download())
    source, target = job.spec.input.secret_ref, job.spec.output.secret_ref
    if source is not None and source.key is not None:
        variables.append(_from_secret(_TOKEN, source.name, source.key))
    opens = target.name if target else source.name if source and source.key is None else None
    if opens is not None:
        variables += [_from_secret(name, opens, name) for name in _S3_KEYS]
    return variables


def _from_secret(variable: str, secret: str, key: str) -> JsonObject:
    reference: JsonObject = {"name": secret, "key": key}
    if variable == _S3_KEYS[-1]:  # of temporary keys only
        reference["optional"] = True
    return {"name": variable, "valueFrom": {"secretKeyRef": reference}}


def _trusting(job: EmbeddingJob, site: StagingSite, pod: JsonObject) -> JsonObject:
    """With the site's certificates, where anything is asked over the network."""
    return with_ca_bundle(pod, site.ca_bundle) if job.spec.input.url or job.spec.output.url else pod


def _data(job: EmbeddingJob, weights_claim: str | None) -> tuple[list[JsonObject], list[JsonObject]]:
    """Volumes and mounts of input and output. A claim is one volume of a pod, whatever it holds: with two of the same
    some kubelets wait for ever."""
    source, target = job.spec.input.claim_name, job.spec.output.claim_name
    known = {weights_claim: "weights"} if weights_claim else {}
    volumes: list[JsonObject] = []
    for claim, name in ((source, "input"), (target, "output")):
        if claim is not None and claim not in known:
            known[claim] = name
            read_only = {"readOnly": True} if claim != target else {}
            volumes.append({"name": name, "persistentVolumeClaim": {"claimName": claim, **read_only}})
    mounts: list[JsonObject] = []
    if source is not None:
        mounts.append({"name": known[source], "mountPath": INPUT_MOUNT, "readOnly": True})
    if target is not None:
        mounts.append({"name": known[target], "mountPath": OUTPUT_MOUNT})
    return volumes, mounts


def _writable(volumes: Sequence[JsonObject], job: EmbeddingJob, weights_claim: str) -> list[JsonObject]:
    """The server's volumes; where weights and output are on one claim, its mounts alone say who may write."""
    if job.spec.output.claim_name != weights_claim:
        return list(volumes)
    writable: JsonObject = {"name": "weights", "persistentVolumeClaim": {"claimName": weights_claim}}
    return [writable if volume["name"] == "weights" else volume for volume in volumes]


def _scratch() -> JsonObject:
    return {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}}


def told(command: str, job: JsonObject) -> list[str]:
    """The command line of a phase."""
    return ["batch", command, *document("--job", job)]
