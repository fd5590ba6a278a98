"""What a benchmark's pod said with its last words, made into a result: figures, and what they are worth."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from embedding_operator.api.benchmark import Figures, Load, Measured, Result
from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.json import JsonObject
from embedding_operator.planning.benchjob import MEASURED_ANNOTATION, Subject
from embedding_operator.planning.pods import last_message

_COUNTS = ("requests", "failed", "tokens")
_NUMBERS = (
    "duration",
    "requestsPerSecond",
    "tokensPerSecond",
    "meanMilliseconds",
    "medianMilliseconds",
    "p90Milliseconds",
    "p99Milliseconds",
)
_LONGEST = 1000  # characters of a message


@dataclass(frozen=True, slots=True)
class Report:
    """Figures of each repeat, or why there are none."""

    repeats: tuple[Figures, ...] = ()
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Began:
    """What a Job remembers of the service as it was when the run began."""

    service: Measured
    pods: Mapping[str, int]


def newest_report(pods: Sequence[JsonObject]) -> Report | None:
    """What the newest pod that has ended said, if it can be read."""
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True):
        try:
            return _read(json.loads(last_message(pod) or ""))
        except (ValueError, TypeError, KeyError, RecursionError):  # an ApiValueError is a ValueError
            continue
    return None


def _read(said: JsonObject) -> Report:
    if "reason" in said:
        return Report(reason=str(said["reason"]), message=str(said.get("message") or said["reason"])[:_LONGEST])
    repeats = tuple(_figures(numbers) for numbers in said["repeats"])
    if not repeats:
        raise ApiValueError("a benchmark has at least one repeat")
    return Report(repeats)


def _figures(numbers: Sequence[float]) -> Figures:
    counts = [int(number) for number in numbers[: len(_COUNTS)]]
    rest = [_decimal(float(number)) for number in numbers[len(_COUNTS) :]]
    return Figures.from_dict(
        dict(zip(_COUNTS, counts, strict=True)) | dict(zip(_NUMBERS, rest, strict=True)),
    )


def _decimal(number: float) -> str:
    """As many digits as mean something."""
    return f"{number:.2f}" if number < 1000 else f"{number:.1f}"


def began(job: JsonObject) -> Began | None:
    """What the Job's annotation says; None where somebody took it away."""
    try:
        told = json.loads((job["metadata"].get("annotations") or {}).get(MEASURED_ANNOTATION) or "")
        pods = {str(uid): int(restarts) for uid, restarts in told["pods"].items()}
        return Began(Measured.from_dict(told["service"]), pods)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def result(
    run: int, load: Load, job: JsonObject, report: Report, now: Subject | str, others: str | None = None
) -> Result:
    """The medians of the repeats, and what disturbed them. `now` is the service as it is at the end of the run, or why
    it cannot be measured any more; `others` is who is known to have asked it meanwhile."""
    then = began(job)
    told = [one.to_dict() for one in report.repeats]
    sums = {field: sum(one[field] for one in told) for field in _COUNTS}
    medians = {field: _decimal(median(float(one[field]) for one in told)) for field in _NUMBERS}
    disturbed = "; ".join([*_disturbances(sums, then, now), *([others] if others else [])])[:_LONGEST]
    return Result.from_dict(
        sums
        | medians
        | {
            "run": run,
            "valid": not disturbed,
            "disturbed": disturbed or None,
            "finishedAt": (job.get("status") or {}).get("completionTime"),
            "load": load.to_dict(),
            "service": then.service.to_dict() if then else {},
            "repeats": told,
        }
    )


def _disturbances(sums: Mapping[str, int], then: Began | None, now: Subject | str) -> list[str]:
    found = []
    if sums["failed"]:
        found.append(f"{sums['failed']} of {sums['requests'] + sums['failed']} requests failed")
    if then is None:
        found.append("nobody knows any more what was measured: the Job's annotation is gone")
    elif isinstance(now, str):
        found.append(f"at the end of the run {now}")
    else:
        found += _changes(then, now)
    return found


def _changes(then: Began, now: Subject) -> list[str]:
    found, after = [], now.measured()
    if then.service.generation != after.generation:
        found.append(f"the service was changed (generation {then.service.generation}, then {after.generation})")
    if then.service.replicas != after.replicas:
        found.append(f"{then.service.replicas} replicas served, then {after.replicas}")
    elif then.pods.keys() != now.pods.keys():
        found.append(f"{len(then.pods.keys() - now.pods.keys())} of {len(then.pods)} pods were replaced")
    restarts = sum(max(0, now.pods[uid] - before) for uid, before in then.pods.items() if uid in now.pods)
    if restarts:
        found.append(f"servers restarted {restarts} times")
    if then.service.digest != after.digest or then.service.image != after.image:
        found.append("the servers run other weights, or another image")
    return found
