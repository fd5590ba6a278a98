"""`try`: asks a service for what it is for, through the API server, and shows the answer as people can judge it."""

from __future__ import annotations

import argparse
import base64
import json
import mimetypes
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embedding_operator.api import names
from embedding_operator.commands import CommandError, argvalues, options
from embedding_operator.commands.asking import Server, error_message, tls_context
from embedding_operator.commands.session import Session, with_cluster
from embedding_operator.commands.shown import condition
from embedding_operator.commands.similarity import drawn, head, matrix
from embedding_operator.commands.terminal import BOLD, DIM, GREEN, Screen, cut, harmless
from embedding_operator.kube.resources import PODS, Object
from embedding_operator.planning.pods import is_serving

KEY = "EMBEDDINGS_API_KEY"
SAMPLES = (
    "How do I return a pair of shoes?",
    "Returns: shoes may be sent back within 30 days.",
    "The lighthouse keeper counted ships.",
)
_PORT = 8000


def add(parser: argparse.ArgumentParser) -> None:
    """`try NAME [TEXT ...]`."""
    parser.usage = "{prog} try NAME [TEXT ...] [-n NAME] [options]"
    parser.description = """
Ask a service: with texts, how similar they are to each other (task Embed); how well each of them answers the first \
(Rerank); or of which class each is (Classify). The request goes through the API server to a pod that serves, so no \
port, Service or Gateway of the cluster need be reached from here.
"""
    parser.epilog = """
examples:
  {prog} try qwen                                         with texts of its own
  {prog} try qwen "a red shoe" "ein roter Schuh" "a ship"
  {prog} try qwen-vl --image cat.jpg "a cat" "a dog"      a model that sees
  {prog} try reranker "what is an NPU?" "A chip." "A bird."
  cat lines.txt | {prog} try qwen -                       a text each line
  EMBEDDINGS_API_KEY=... {prog} try guarded

It takes the rights to get embeddingservices, to list pods, and to get and create pods/portforward.
exit codes: 0 answered, 1 it cannot be asked or refused, 2 wrong arguments.
"""
    options.add_service(parser)
    parser.add_argument(
        "texts", nargs="*", default=[], metavar="TEXT", help="- reads them from the standard input, one each line"
    )
    parser.add_argument(
        "--image", action="append", default=[], metavar="PATH|URL", help="an image, beside the texts; repeatable"
    )
    parser.add_argument("--dimensions", type=argvalues.positive, metavar="N", help="vectors of so many numbers")
    parser.add_argument("--pod", type=argvalues.object_name, metavar="NAME", help="ask this pod (default: a ready one)")
    parser.add_argument(
        "--api-key-file",
        metavar="FILE",
        help=f"with the API key, where the service wants one; - is the standard input (default: ${KEY})",
    )
    parser.add_argument(
        "--ca-file",
        type=Path,
        metavar="FILE",
        help="verify the server's certificate by these authorities (default: not verified, as the API server leads to "
        "the very pod)",
    )
    parser.add_argument(
        "-o",
        "--output",
        choices=("text", "json"),
        default="text",
        metavar="FORMAT",
        help="text; json: with the whole answer (default: %(default)s)",
    )
    options.add_namespace(parser)
    options.add_cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask it."""
    texts = texts_of(arguments.texts)
    images = [image_url(one) for one in arguments.image]
    return with_cluster(arguments, lambda session: _try(session, arguments, texts, images))


async def _try(session: Session, arguments: argparse.Namespace, texts: list[str], images: list[str]) -> int:
    service = await session.service(arguments.name)
    task = service["spec"].get("task") or "Embed"
    if images and task != "Embed":
        raise CommandError(f"emb/{arguments.name} has task {task}, and --image is for those that embed: remove it")
    if not texts and not images:
        texts = list(SAMPLES)
    if task == "Rerank" and len(texts) < 2:
        raise CommandError("a reranker wants a question and what may answer it: write two texts at least")
    server = await _server(session, service, arguments)
    model = (await _asked(server, "/v1/models", None))["data"][0]["id"]
    began = time.monotonic()
    if task == "Rerank":
        answer = await _asked(server, "/v1/rerank", {"model": model, "query": texts[0], "documents": texts[1:]})
    elif task == "Classify":
        answer = await _asked(server, "/classify", {"model": model, "input": texts})
    else:
        answer = await _embedded(server, model, texts, images, arguments.dimensions)
    took = time.monotonic() - began
    if arguments.output == "json":
        print(json.dumps(answer, ensure_ascii=False, indent=2))
        return 0
    screen = Screen(sys.stdout)
    tokens = (answer.get("usage") or {}).get("total_tokens")
    told = f"{model}, pod {server.pod}: {f'{tokens} tokens, ' if tokens else ''}{took * 1000:.0f} ms with the way there"
    screen.print([cut(screen.paint(DIM, told), screen.width)])
    shown = {"Rerank": ranked, "Classify": classified}.get(task)
    labels = [*arguments.image, *texts]
    screen.print(shown(answer, texts, screen) if shown else embedded(answer, labels, screen))
    return 0


def texts_of(words: Sequence[str]) -> list[str]:
    """What is to be sent."""
    if list(words) != ["-"]:
        return list(words)
    try:
        lines = [line.strip() for line in sys.stdin]
    except UnicodeDecodeError as error:
        raise CommandError(f"the standard input is no text in {error.encoding}: {error.reason}") from None
    if not any(lines):
        raise CommandError("the standard input has no text")
    return [line for line in lines if line]


def image_url(where: str) -> str:
    """A URL as it is; a file as one that holds it."""
    if where.startswith(("http://", "https://", "data:")):
        return where
    kind = mimetypes.guess_type(where)[0] or ""
    if not kind.startswith("image/"):
        raise CommandError(f"--image {where}: not a URL, and by its name no image (.jpg, .png, .webp, …)")
    try:
        content = Path(where).read_bytes()
    except OSError as error:
        raise CommandError(f"--image {where}: {error.strerror}") from None
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


async def _server(session: Session, service: Object, arguments: argparse.Namespace) -> Server:
    """A pod that serves, and what it takes to be let in."""
    name, exposure = arguments.name, service["spec"].get("exposure") or {}
    pods = (await session.client.list(PODS, session.namespace, f"{names.SERVICE_LABEL}={name}")).items
    found = [pod for pod in pods if (pod["metadata"]["name"] == arguments.pod if arguments.pod else is_serving(pod))]
    if not found:
        raise CommandError(_nobody(service, pods, arguments))
    key, secret = api_key(arguments.api_key_file), (exposure.get("apiKeySecretRef") or {}).get("name")
    if secret and not key:
        raise CommandError(
            f"emb/{name} wants an API key: set ${KEY}, or name a file with --api-key-file; valid ones are in Secret "
            f"{secret} of namespace {session.namespace}"
        )
    return Server(
        connection=session.connection,
        namespace=session.namespace,
        service=name,
        pod=str(found[0]["metadata"]["name"]),
        port=_port(found[0]),
        tls=tls_context(arguments.ca_file) if (exposure.get("tls") or {}).get("secretRef") else None,
        key=key,
    )


def _nobody(service: Object, pods: Sequence[Object], arguments: argparse.Namespace) -> str:
    if arguments.pod:
        known = ", ".join(str(pod["metadata"]["name"]) for pod in pods) or "none"
        return f"emb/{arguments.name} has no pod {arguments.pod}: there are {known}"
    ready = condition(service, "Ready")
    told = f"{ready.get('reason')}: {ready.get('message')}" if ready else "the operator has not looked at it yet"
    return f"emb/{arguments.name} has no pod that serves. {' '.join(told.split())}"


def _port(pod: Object) -> int:
    """The container's port `http`."""
    containers = (pod.get("spec") or {}).get("containers") or ()
    ports = [port for container in containers for port in container.get("ports") or ()]
    return next((int(port["containerPort"]) for port in ports if port.get("name") == "http"), _PORT)


def api_key(file: str | None) -> str:
    """From the file, else from the environment; never from the command line, which others on this machine can read."""
    try:
        text = os.environ.get(KEY, "") if file is None else sys.stdin.read() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"--api-key-file {file}: {error}") from None
    key = text.strip()
    if not (key.isascii() and key.isprintable()):
        where = f"${KEY}" if file is None else f"--api-key-file {file}"
        raise CommandError(f"{where} is no API key: one line of ASCII")
    return key


async def _asked(server: Server, path: str, body: Object | None) -> Any:
    status, answer = await server.ask(path, body)
    if status == 401:
        raise CommandError(f"pod {server.pod} does not take this API key (HTTP 401): set ${KEY} or --api-key-file")
    if status != 200:
        raise CommandError(f"pod {server.pod} answered {path} with HTTP {status}: {error_message(answer)}")
    if not isinstance(answer, dict):
        raise CommandError(f"pod {server.pod} answered {path} with what is no JSON object: {error_message(answer)}")
    return answer


async def _embedded(
    server: Server, model: str, texts: Sequence[str], images: Sequence[str], dimensions: int | None
) -> Any:
    """One answer with all vectors. Beside images, texts are sent as messages too: only then can they be compared."""
    body: Object = {"model": model, "encoding_format": "float"} | ({"dimensions": dimensions} if dimensions else {})
    if not images:
        return await _asked(server, "/v1/embeddings", body | {"input": list(texts)})
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in images]
    parts += [{"type": "text", "text": text} for text in texts]
    joined: Object = {}
    for index, part in enumerate(parts):
        message = {"messages": [{"role": "user", "content": [part]}], "add_generation_prompt": True}
        answer = await _asked(server, "/v1/embeddings", body | message)
        vector = answer["data"][0] | {"index": index}
        tokens = (joined.get("usage") or {}).get("total_tokens", 0) + (answer.get("usage") or {}).get("total_tokens", 0)
        joined = answer | {"data": [*joined.get("data", ()), vector], "usage": {"total_tokens": tokens}}
    return joined


def embedded(answer: Object, labels: Sequence[str], screen: Screen) -> list[str]:
    """How near each is to each; of one alone, how its vector begins."""
    vectors = [one["embedding"] for one in answer["data"]]
    lines = [f"{len(vectors)} vector{'s' if len(vectors) > 1 else ''} of {len(vectors[0])} numbers", ""]
    if len(vectors) == 1:
        return [*lines, cut(head(vectors[0]), screen.width)]
    return [*lines, *drawn(labels, matrix(vectors), screen)]


def ranked(answer: Object, texts: Sequence[str], screen: Screen) -> list[str]:
    """What answers the question, the best first."""
    lines = [screen.paint(BOLD, cut(harmless(texts[0]), screen.width)), ""]
    for place, result in enumerate(sorted(answer["results"], key=lambda one: -one["relevance_score"])):
        score = screen.paint(GREEN if place == 0 else "", f"{result['relevance_score']:8.4f}")
        lines.append(cut(f"{score}   {harmless(texts[result['index'] + 1])}", screen.width))
    return lines


def classified(answer: Object, texts: Sequence[str], screen: Screen) -> list[str]:
    """The class of each, and how sure that is."""
    rows = []
    for one in sorted(answer["data"], key=lambda each: each["index"]):
        label = screen.paint(GREEN, str(one.get("label")))
        rows.append([label, f"{max(one['probs']):.3f}", harmless(texts[one["index"]])])
    return screen.table(["CLASS", "PROBABILITY", "TEXT"], rows)
