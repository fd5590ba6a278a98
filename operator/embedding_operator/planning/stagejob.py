"""The Job that stages the weights of one ModelCache: one writer, no API credentials, unprivileged.

It is created once, named by a hash of its inputs, and never applied again (a Job's template is immutable). The
operator's image is no part of the name: an upgrade neither restarts a download nor stages anything twice.
"""

from dataclasses import dataclass, replace

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject
from embedding_operator.api.meta import ConfigMapKeyRef, SecretKeyRef
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.planning.commandline import document, literal
from embedding_operator.planning.network import bytes_per_second, environment, with_ca_bundle
from embedding_operator.planning.onenode import beside
from embedding_operator.planning.owner import owner_reference
from embedding_operator.planning.weights import is_one_node

CACHE_MOUNT = "/cache"
PROGRESS_PORT = 8081
PERMANENT_EXIT_CODE = 3  # the stager's word for "trying again will not help"
_USER = 65532
_KEY_OF_S3 = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")  # keys of the Secret, too
_TOKEN_VARIABLES = {"modelScope": "MODELSCOPE_API_TOKEN", "huggingFace": "HF_TOKEN", "http": "HTTP_SOURCE_TOKEN"}


@dataclass(frozen=True, slots=True)
class StagingSite:
    """What the install says of all staging Jobs: the operator's own image, and how they reach the network."""

    image: str
    env: tuple[tuple[str, str], ...] = ()
    pull_secrets: tuple[str, ...] = ()  # by name, in the cache's namespace
    ca_bundle: ConfigMapKeyRef | None = None  # there, too
    bytes_per_second: int | None = None
    proxy: SecretKeyRef | None = None  # there, too: its URL, where it holds a password


def job_name(cache: ModelCache) -> str:
    """Named by what the Job is given: other inputs make another Job."""
    inputs = [_stage_spec(cache), cache.spec.storage.to_dict(), cache.spec.stager.to_dict()]
    network = replace(cache.spec.download, parallelism=None).to_dict()
    return names.staging_job_name(cache.metadata.name, [*inputs, network] if network else inputs)


def job(cache: ModelCache, site: StagingSite, cluster: str = "") -> JsonObject:
    """The staging Job, run from the operator's own image. `cluster` tells whose it is on a volume that many share."""
    return _job(cache, site, job_name(cache), names.STAGING_TASK, _container(cache, site, _signed(cache, cluster)))


def mending_job(cache: ModelCache, site: StagingSite, name: str, cluster: str) -> JsonObject:
    """The staging Job, held to the revision, the digest and the directory: it fetches what is damaged."""
    held = {"digest": cache.status.digest, "directory": cache.status.path, "verify": True}
    spec = _signed(cache, cluster) | held
    revision = cache.status.revision or ""
    for inner in spec["source"].values():
        if "revision" in inner and revision and not revision.startswith("listing-"):  # no hub knows that one
            inner["revision"] = revision
    return _job(cache, site, name, names.MENDING_TASK, _container(cache, site, spec))


def reading_job(cache: ModelCache, site: StagingSite, name: str, spec: str) -> JsonObject:
    """A Job that reads what was staged and does nothing else: a read-only mount, no environment, no credentials."""
    container = volume_container(cache, "scrub", site.image, ["stage", "--spec", spec], reads=True)
    return _job(cache, site, name, names.SCRUB_TASK, container)


def _job(cache: ModelCache, site: StagingSite, name: str, task: str, container: JsonObject) -> JsonObject:
    labels = names.cache_labels(cache.metadata.name, task)
    pod = pod_spec(cache, site, container)
    if task != names.SCRUB_TASK:  # which needs no network
        pod = with_ca_bundle(pod, cache.spec.download.ca_bundle_ref or site.ca_bundle)
        if identity := cache.spec.stager.service_account_name:
            pod["serviceAccountName"] = identity
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": cache.metadata.namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(names.MODEL_CACHE, cache.metadata)],
        },
        "spec": {
            "backoffLimit": 8,
            "ttlSecondsAfterFinished": 86400,
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onExitCodes": {"operator": "In", "values": [PERMANENT_EXIT_CODE]},
                    },
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
                ]
            },
            "template": {"metadata": {"labels": pod_labels(cache, task)}, "spec": pod},
        },
    }


def pod_spec(cache: ModelCache, site: StagingSite, container: JsonObject) -> JsonObject:
    """A pod that works on the cache's volume, unprivileged, where its stager is told to run."""
    stager = cache.spec.stager.to_dict()
    optional: JsonObject = {field: stager.get(field) for field in ("nodeSelector", "tolerations")}
    optional["imagePullSecrets"] = [{"name": name} for name in site.pull_secrets]
    optional["affinity"] = _beside_servers(cache)
    return {
        "restartPolicy": "Never",
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "securityContext": _security_context(container, stager.get("securityContext") or {}),
        "containers": [container],
        "volumes": [
            {"name": "cache", "persistentVolumeClaim": {"claimName": cache.spec.storage.claim_name}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
    } | {field: value for field, value in optional.items() if value}


def pod_labels(cache: ModelCache, task: str) -> JsonObject:
    """Labels of a pod that works on the cache's volume."""
    claim = names.claim_labels(cache.spec.storage.claim_name) if is_one_node(cache) else {}
    return {**names.cache_labels(cache.metadata.name, task), **claim}


def _beside_servers(cache: ModelCache) -> JsonObject:
    """A claim that one node has cannot be mounted beside it: go where the pods are that serve from it."""
    if not is_one_node(cache):
        return {}
    preferred = {"weight": 100, "podAffinityTerm": beside(cache.spec.storage.claim_name)}
    # a required one would keep the Job from running for ever if these pods go away before it starts
    return {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preferred]}}


def _security_context(container: JsonObject, wanted: JsonObject) -> JsonObject:
    defaults: JsonObject = {"runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER}
    if any(mount.get("readOnly") for mount in container["volumeMounts"]):
        del defaults["fsGroup"]  # a kubelet would give files that may not be ours to this group
    return (
        defaults
        | {
            "fsGroupChangePolicy": "OnRootMismatch",  # a walk over 150 GB of weights takes minutes
            "runAsNonRoot": wanted.get("runAsUser", _USER) != 0,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        | wanted
    )


def volume_container(cache: ModelCache, name: str, image: str, args: list[str], *, reads: bool = False) -> JsonObject:
    """The one container of such a pod. `reads`: it does nothing else, and could not."""
    mount: JsonObject = {"name": "cache", "mountPath": CACHE_MOUNT}
    if cache.spec.storage.sub_path:
        mount["subPath"] = cache.spec.storage.sub_path
    if reads:
        mount["readOnly"] = True
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [literal(arg) for arg in args],  # one variable is the site's proxy, with its password
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"memory": "1Gi"},  # page cache of what is written counts, and is reclaimed
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "File",
        "volumeMounts": [mount, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108  (the pod's own)
    }


def _container(cache: ModelCache, site: StagingSite, spec: JsonObject) -> JsonObject:
    reads = cache.spec.source.path is not None  # weights that somebody else put there are never written
    if rate := bytes_per_second(site.bytes_per_second, cache.spec.download):
        spec = spec | {"bytesPerSecond": rate}
    args = ["stage", *document("--spec", spec)]
    variables = environment(site.env, site.proxy, cache.spec.download)
    return volume_container(cache, "stage", site.image, args, reads=reads) | {
        "env": variables + _credentials(cache),
        "ports": [{"name": "progress", "containerPort": PROGRESS_PORT, "protocol": "TCP"}],
    }


def _signed(cache: ModelCache, cluster: str) -> JsonObject:
    """The stager's spec, with what it signs for the files; what nobody may remove needs no signature."""
    spec = _stage_spec(cache)
    if cache.spec.source.path is None:
        spec["user"] = names.signature(cluster, cache.metadata.namespace or "", cache.metadata.uid or "")
    return spec


def _credentials(cache: ModelCache) -> list[JsonObject]:
    """The server's token comes to the Job alone, from the Secret, by the kubelet: the operator never reads it."""
    source = cache.spec.source
    secret = source.one.to_dict().get("secretRef")
    if secret is None:
        return []
    if source.kind == "s3":
        return [_from_secret(name, secret | {"key": name}) for name in _KEY_OF_S3]
    return [_from_secret(_TOKEN_VARIABLES[source.kind], secret)]


def _from_secret(variable: str, reference: JsonObject) -> JsonObject:
    optional = {"optional": True} if variable == "AWS_SESSION_TOKEN" else {}  # of temporary keys only
    return {"name": variable, "valueFrom": {"secretKeyRef": reference | optional}}


def _stage_spec(cache: ModelCache) -> JsonObject:
    source = cache.spec.source.canonical()
    for inner in source.values():
        inner.pop("secretRef", None)
    return {
        "source": source,
        "root": CACHE_MOUNT,
        "digest": cache.spec.digest,
        "parallelism": cache.spec.download.parallelism or 8,
        "progressPort": PROGRESS_PORT,
    }
