"""What the tables over a ModelCache's plan share: the plan, its Ready, and the staging Job."""

from typing import Any

from embedding_operator.api.modelcache import ModelCache
from embedding_operator.planning.cacheplan import plan_cache
from embedding_operator.planning.cachestate import CachePlan, ObservedCache
from embedding_operator.planning.stagejob import StagingSite, job_name


def plan(cache: ModelCache, **observed: Any) -> CachePlan:
    return plan_cache(cache, ObservedCache(**observed), StagingSite("example.com/operator:1", (("A", "b"),)))


def ready(planned: CachePlan) -> tuple[str, str, str]:
    (found,) = [c for c in planned.status.conditions if c.type == "Ready"]
    return found.status, str(found.reason), found.message


def stage_job(cache: ModelCache, condition: str | None = None) -> dict[str, Any]:
    status: dict[str, Any] = {"completionTime": "2026-01-02T03:04:05Z"} if condition == "Complete" else {}
    if condition:
        status["conditions"] = [{"type": condition, "status": "True", "message": "Job's own words"}]
    return {"kind": "Job", "metadata": {"name": job_name(cache), "namespace": "search"}, "status": status}
