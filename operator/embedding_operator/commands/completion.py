"""`completion`: scripts by which a shell completes commands, options and the names of services.

The scripts ask `complete`, kubectl the program `kubectl_complete-embeddings`: one candidate a line, then `:` and a
number, as programs do that are made with cobra.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from embedding_operator.api import names
from embedding_operator.commands import COMMANDS, named
from embedding_operator.commands.parsing import parser_of

FILES, NOTHING_ELSE = 0, 4  # cobra's directives: the shell completes files; it does not
_BENCH_WORDS: Final = ("show", "compare")  # behind which the names of benchmarks stand
_SECONDS: Final = 2.0  # nobody waits longer for a word
_FILE_OPTIONS: Final = ("kubeconfig", "filename", "ca_file", "api_key_file", "image", "profiles", "svg")
_SCRIPTS: Final = {
    "bash": """\
_embedding_operator() {
    local IFS=$'\\n' word=${COMP_WORDS[COMP_CWORD]} answer
    answer=$("${COMP_WORDS[0]}" completion complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) || return
    if [[ ${answer##*:} == 0 ]]; then COMPREPLY=($(compgen -f -- "$word")); return; fi
    COMPREPLY=($(compgen -W "${answer%:*}" -- "$word"))
}
complete -o filenames -F _embedding_operator embedding-operator kubectl-embeddings
""",
    "zsh": """\
#compdef embedding-operator kubectl-embeddings
_embedding_operator() {
    local answer
    answer=$("${words[1]}" completion complete -- "${(@)words[2,CURRENT]}" 2>/dev/null) || return
    if [[ ${answer##*:} == 0 ]]; then _files; return; fi
    compadd -- ${(f)${answer%:*}}
}
compdef _embedding_operator embedding-operator kubectl-embeddings
""",
    "fish": """\
function __embedding_operator
    set -l words (commandline -opc) (commandline -ct)
    set -l answer ($words[1] completion complete -- $words[2..-1] 2>/dev/null)
    if test "$answer[-1]" = ":0"
        __fish_complete_path (commandline -ct)
    else
        string match -v ':*' -- $answer
    end
end
complete -c embedding-operator -f -a '(__embedding_operator)'
complete -c kubectl-embeddings -f -a '(__embedding_operator)'
""",
}


class _Shells(list[str]):
    """Those that there are scripts for; what the scripts themselves ask for is taken, and offered to nobody."""

    def __contains__(self, name: object) -> bool:
        return name == "complete" or super().__contains__(name)


def add(parser: argparse.ArgumentParser) -> None:
    """`completion SHELL`."""
    parser.usage = "{prog} completion bash|zsh|fish"
    parser.description = """
A script by which your shell completes commands, options, and the names of services and namespaces. kubectl \
completes `kubectl embeddings` by itself, where kubectl_complete-embeddings is in PATH.
"""
    parser.epilog = """
examples:
  source <(embedding-operator completion bash)                       in ~/.bashrc
  source <(embedding-operator completion zsh)                        in ~/.zshrc, after compinit
  embedding-operator completion fish > ~/.config/fish/completions/embedding-operator.fish
"""
    parser.add_argument("shell", choices=_Shells(_SCRIPTS), metavar="SHELL", help="bash, zsh or fish")
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Print the script, or what a shell asks for."""
    if arguments.shell == "complete":
        return answer(arguments.words)
    print(_SCRIPTS[arguments.shell], end="")
    return 0


def kubectl_main() -> int:
    """What kubectl runs to complete the words after `kubectl embeddings`."""
    return answer(sys.argv[1:])


def answer(words: Sequence[str]) -> int:
    """Print the candidates for the last of the words."""
    found, directive = candidates(words or [""])
    print("\n".join([*found, f":{directive}"]))
    return 0


def candidates(words: Sequence[str]) -> tuple[list[str], int]:
    """What the last of the words may become, and whether files are meant."""
    *before, word = words
    if not before:
        return _beginning(word, (one.name for one in COMMANDS)), NOTHING_ELSE
    command = named(before[0])
    if command is None:
        return [], NOTHING_ELSE
    parser = parser_of(command)
    option = _option(parser, before[-1]) if len(before) > 1 else None
    if option is not None and option.nargs != 0:
        if option.dest in _FILE_OPTIONS:
            return [], FILES
        return _beginning(word, _values(option, before)), NOTHING_ELSE
    if word.startswith("-"):
        every = (name for action in parser._actions for name in action.option_strings if name.startswith("--"))
        return _beginning(word, every), NOTHING_ELSE
    place = next((one for one in parser._actions if not one.option_strings), None)
    return (_beginning(word, _values(place, before)) if place else []), NOTHING_ELSE


def _beginning(word: str, every: Iterable[str]) -> list[str]:
    return sorted({name for name in every if name.startswith(word)})


def _option(parser: argparse.ArgumentParser, word: str) -> argparse.Action | None:
    return next((action for action in parser._actions if word in action.option_strings), None)


def _values(action: argparse.Action, words: Sequence[str]) -> Iterator[str]:
    if action.dest == "command":
        yield from (one.name for one in COMMANDS)
    elif action.choices:
        yield from (str(choice) for choice in action.choices)
    elif action.dest in ("name", "names", "benchmarks", "namespace"):
        yield from _BENCH_WORDS if list(words) == ["bench"] else ()
        for kind in _meant(action.dest, words):
            yield from _of_cluster(kind, words)


def _meant(place: str, words: Sequence[str]) -> Sequence[str]:
    """The kinds whose names may stand there."""
    if place == "namespace":
        return ("Namespace",)
    if words[0] == "plan" or (words[0] == "bench" and len(words) > 1 and words[1] in _BENCH_WORDS):
        return (names.EMBEDDING_BENCHMARK,)
    return (names.EMBEDDING_SERVICE, *([names.EMBEDDING_JOB] if words[0] in ("status", "logs") else []))


def _of_cluster(kind: str, words: Sequence[str]) -> list[str]:
    """Names of that kind in the cluster that the words mean; none where it cannot be asked."""
    try:
        return asyncio.run(asyncio.wait_for(_names(kind, words), _SECONDS))
    except Exception:  # whatever it is: a shell that completes a word shows no complaint
        return []


async def _names(kind: str, words: Sequence[str]) -> list[str]:
    from embedding_operator.kube.client import KubeClient
    from embedding_operator.kube.connection import connect
    from embedding_operator.kube.resources import Resource, by_kind

    said = dict(itertools.pairwise(words))
    kubeconfig = said.get("--kubeconfig")
    connection = await connect(Path(kubeconfig) if kubeconfig else None, said.get("--context"))
    try:
        namespace: str | None = said.get("-n") or said.get("--namespace") or connection.namespace
        if kind == "Namespace":
            resource, namespace = Resource("", "v1", "namespaces", kind, namespaced=False), None
        else:
            resource = by_kind(kind)
        listing = await KubeClient(connection).list(resource, namespace)
        return [str(one["metadata"]["name"]) for one in listing.items]
    finally:
        await connection.close()
