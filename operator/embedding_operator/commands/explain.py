"""`explain`: reads manifests, decides as the operator would, and says why. No cluster."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterable, Iterator

from embedding_operator.commands import options
from embedding_operator.commands.foresight import Foreseen, foresee, of_files
from embedding_operator.commands.jobforesight import ForeseenJob, foresee_job, services_of
from embedding_operator.commands.manifests import jobs, services, with_services
from embedding_operator.commands.terminal import BOLD, DIM, RED, Screen
from embedding_operator.planning.explain import Decision, explain
from embedding_operator.planning.explainjob import explain_job
from embedding_operator.planning.jobservice import written_as_service
from embedding_operator.planning.resolve import resolve

ERROR = 2
_WIDTH = 110


def add(parser: argparse.ArgumentParser) -> None:
    """`explain -f FILE`."""
    parser.usage = "{prog} explain -f FILE"
    parser.description = """
Every decision that the operator takes for the EmbeddingServices and EmbeddingJobs of these files, and why: image, \
version, flags, known problems, devices, volumes, probes. Needs no cluster and changes nothing.
"""
    parser.epilog = """
examples:
  {prog} explain -f service.yaml
  kubectl get rp ascend-910b -o yaml > site.yaml
  {prog} explain -f site.yaml -f service.yaml      with your site's profile

Profiles are the built-in ones and those in the files, which go before.
exit codes: 0 can be served, 1 is refused, 2 a file cannot be read.
"""
    options.add_files(parser, "manifests: EmbeddingServices, EmbeddingJobs, and what they refer to")


def run(arguments: argparse.Namespace) -> int:
    """Explain every service and job of the files."""
    manifests = with_services(arguments.filename, "default", or_jobs=True)
    known = of_files(manifests)
    screen = Screen(sys.stdout)
    refused = [_one(foresee(obj, known), screen) for obj in services(manifests)]
    for obj in jobs(manifests):
        foreseen = foresee_job(obj, known, services_of(manifests))
        served = foresee(written_as_service(obj), known) if foreseen.job.spec.model is not None else None
        refused.append(_job(foreseen, served, screen))
    return 1 if any(refused) else 0


def _one(foreseen: Foreseen, screen: Screen) -> bool:
    """Explain one service; returns whether it is refused."""
    if (stalled := foreseen.refused) is not None:
        told = f"{screen.paint(RED, str(stalled.reason))}: {stalled.message}"
        screen.print([screen.paint(BOLD, f"# {foreseen.title}: refused"), told])
        return True
    screen.print(lines(foreseen.title, _decisions(foreseen), screen))
    return False


def _decisions(foreseen: Foreseen) -> Iterator[Decision]:
    service, profile, cache = foreseen.service, foreseen.profile, foreseen.cache
    (deployment,) = (child for child in foreseen.plan.apply if child["kind"] == "Deployment")
    resolved = resolve(service, profile, cache.spec.source, cache.status.context_length)
    return explain(service, profile, cache.spec.source, resolved, deployment)


def _job(foreseen: ForeseenJob, served: Foreseen | None, screen: Screen) -> bool:
    """Explain one job; returns whether it is refused."""
    if foreseen.refused is not None or foreseen.basis is None:
        stalled = foreseen.refused
        told = f"{screen.paint(RED, str(stalled.reason))}: {stalled.message}" if stalled else ""
        screen.print([screen.paint(BOLD, f"# {foreseen.title}: refused"), told])
        return True
    server = _decisions(served) if served is not None else ()
    screen.print(lines(foreseen.title, explain_job(foreseen.job, foreseen.basis, server), screen))
    return False


def lines(title: str, decisions: Iterable[Decision], screen: Screen) -> Iterator[str]:
    """The decisions as people read them: by group, each with its reason below."""
    yield screen.paint(BOLD, f"# {title}")
    group, indent = "", " " * 6
    room = min(_WIDTH, screen.width or _WIDTH)
    for decision in decisions:
        if decision.group != group:
            group = decision.group
            yield f"\n{screen.paint(BOLD, group)}"
        yield f"  {decision.what} {decision.value}".rstrip()
        for line in textwrap.wrap(decision.why, room, initial_indent=indent, subsequent_indent=indent):
            yield screen.paint(DIM, line)
