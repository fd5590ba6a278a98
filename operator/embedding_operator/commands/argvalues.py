"""What may stand on the command line: each reads one word, and says what is wrong with it in words for people."""

import re
from argparse import Action, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable


def variable(text: str) -> tuple[str, str]:
    """NAME=VALUE of the environment."""
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    if name.upper().endswith("_PROXY") and "@" in value:
        raise ArgumentTypeError(
            f"the password in {name} would be readable in every Job: put the proxy's URL into a Secret, and name that "
            "by --staging-proxy-secret"
        )
    return name, value


def key_of(default: str) -> Callable[[str], tuple[str, str]]:
    """NAME or NAME/KEY of a ConfigMap or a Secret."""

    def read(text: str) -> tuple[str, str]:
        name, _, key = text.partition("/")
        if not name:
            raise ArgumentTypeError(f"{text!r} is not NAME or NAME/KEY")
        return name, key or default

    return read


def object_name(text: str) -> str:
    """The name of an object or a namespace; it becomes a part of a URL."""
    if not re.fullmatch("[a-z0-9]([-a-z0-9.]*[a-z0-9])?", text):
        raise ArgumentTypeError(f"{text!r} is not the name of an object: those have a-z, 0-9, - and . only")
    return text


def rate(text: str) -> int:
    """A quantity of bytes."""
    from embedding_operator.api.codec import ApiValueError
    from embedding_operator.api.quantity import parse_quantity

    try:
        number = int(parse_quantity(text))
    except ApiValueError:
        number = 0
    if number < 1:
        raise ArgumentTypeError(f"{text!r} is not a number of bytes from 1 on, such as 100Mi")
    return number


def lease(text: str) -> int:
    """How long a Lease holds: whole seconds, of which some tries to renew it must fit into two thirds."""
    if not text.isdecimal() or not 3 <= int(text) <= 3600:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds from 3 to 3600")
    return int(text)


def positive(text: str) -> int:
    """A number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def port(text: str) -> int:
    """A port; 0 stands for none."""
    if not text.isdecimal() or int(text) > 65535:
        raise ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)


def count(text: str) -> int:
    """A number of lines; -1 stands for all."""
    if text != "-1" and not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is not a number of lines, nor -1 for all")
    return int(text)


def seconds(text: str) -> int:
    """A length of time as kubectl takes it: 30s, 10m, 1h30m."""
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    if not text or found is None:
        raise ArgumentTypeError(f"{text!r} is not a length of time such as 30s, 10m or 1h30m")
    hours, minutes, rest = (int(part or 0) for part in found.groups())
    return max(1, hours * 3600 + minutes * 60 + rest)


def whole(text: str) -> int:
    """A number from 0 on."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return int(text)


def counts(text: str) -> list[int]:
    """Numbers from 1 on, with commas between them."""
    return [positive(part) for part in text.split(",")]


def rates(text: str) -> list[int | str]:
    """Rates a second with commas between them: whole ones as numbers, others as the API wants them, as text."""
    found = [part for part in text.split(",") if re.fullmatch(r"inf|[0-9]{1,6}([.][0-9]{1,3})?", part)]
    if len(found) != len(text.split(",")) or any(part != "inf" and float(part) == 0 for part in found):
        raise ArgumentTypeError(
            f"{text!r} is not a rate a second such as 20 or 2.5, or several with commas between them"
        )
    return [int(part) if part.isdecimal() else part for part in found]


def above_zero(text: str) -> float:
    """A number above 0, which may have decimals."""
    if not re.fullmatch(r"[0-9]{1,9}([.][0-9]{1,6})?", text) or float(text) == 0:
        raise ArgumentTypeError(f"{text!r} is not a number above 0")
    return float(text)


def latency(text: str) -> float:
    """A length of time in milliseconds: 800ms, 2s, 1.5s."""
    found = re.fullmatch(r"([0-9]{1,9}(?:[.][0-9]{1,6})?)(ms|s)", text)
    if found is None or float(found[1]) == 0:
        raise ArgumentTypeError(f"{text!r} is not a length of time such as 2s or 800ms")
    return float(found[1]) * (1000 if found[2] == "s" else 1)


class Joined(Action):
    """An option that may be given in parts: one argument has an end, a document may be longer."""

    def __call__(
        self, parser: ArgumentParser, namespace: Namespace, values: object, option_string: str | None = None
    ) -> None:
        setattr(namespace, self.dest, (getattr(namespace, self.dest) or "") + str(values))
