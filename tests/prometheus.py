"""A real Prometheus and its promtool, of Debian's package, which is unpacked and not installed."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from tests.cluster.cache import cache_dir
from tests.cluster.packages import unpacked
from tests.ports import free_ports

Series = dict[str, Any]


def program(name: str) -> Path:
    """prometheus or promtool."""
    return unpacked("prometheus", cache_dir() / "debian") / "usr" / "bin" / name


def promtool(*arguments: str, stdin: str | None = None) -> str:
    """What promtool says; raises with that if it finds fault."""
    done = subprocess.run([program("promtool"), *arguments], input=stdin, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


class Prometheus:
    """`with Prometheus(directory, {job: address}, rules) as it: it.query(...)`; it scrapes every second.

    `jobs` are whole entries of scrape_configs beside those.
    """

    def __init__(
        self,
        directory: Path,
        targets: Mapping[str, Mapping[str, Any]] | None = None,
        rules: Sequence[Path] = (),
        jobs: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._directory = directory
        self._port = free_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path) for path in rules],
            "scrape_configs": [
                *(
                    {"job_name": job, "honor_labels": True, "static_configs": [config]}
                    for job, config in (targets or {}).items()
                ),
                *jobs,
            ],
        }
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config))

    def __enter__(self) -> Prometheus:
        command = [str(program("prometheus")), "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
        command += [f"--web.listen-address=127.0.0.1:{self._port}", "--log.level=warn"]
        with (self._directory / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(command, cwd=self._directory, stdout=log, stderr=log)
        deadline = time.monotonic() + 90
        while not self._is_ready():
            assert self._process.poll() is None, (self._directory / "prometheus.log").read_text()
            assert time.monotonic() < deadline, "Prometheus is not ready"
            time.sleep(0.1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)

    def query(self, expression: str) -> list[Series]:
        """The series that an expression gives now, each with its labels (`metric`) and `value`."""
        found: list[Series] = self._get("query", query=expression)["result"]
        return found

    def alerts(self) -> list[Series]:
        """Alerts that are pending or fire."""
        found: list[Series] = self._get("alerts")["alerts"]
        return found

    def metadata(self) -> dict[str, Any]:
        """Type and help of every metric that was scraped."""
        found: dict[str, Any] = self._get("metadata")
        return found

    def down(self) -> list[str]:
        """Why targets cannot be scraped."""
        return [
            f"{one['scrapeUrl']}: {one['lastError']}"
            for one in self._get("targets")["activeTargets"]
            if one["lastError"]
        ]

    def _get(self, path: str, **query: str) -> Any:
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
