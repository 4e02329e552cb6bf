"""The service as a process of its own, as a pod would run it, and small helpers to see what it does."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
import requests
import yaml

from tests.realparts import LOCAL, until

COMMAND = str(Path(sys.executable).with_name("dynamic-toolset"))


def command(
    *arguments: str, env: Mapping[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Runs ``dynamic-toolset`` to its end."""
    return subprocess.run(
        [COMMAND, *arguments],
        input=stdin,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@dataclass
class Running:
    """A running service."""

    http: str
    metrics: str
    file: Path
    log: Path
    process: subprocess.Popen[bytes]

    def status(self, path: str) -> int:
        """The HTTP status of a path on the http port; 0 when nothing answers."""
        try:
            return LOCAL.get(f"http://{self.http}{path}", timeout=2).status_code
        except requests.RequestException:
            return 0

    def said(self, path: str) -> dict[str, Any]:
        """The JSON of a path on the http port."""
        said: dict[str, Any] = LOCAL.get(f"http://{self.http}{path}", timeout=2).json()
        return said

    def how(self) -> dict[str, Any]:
        """How things are, as the API tells it."""
        return self.said("/api/v1/status")

    def watches(self) -> dict[str, str]:
        """What it watches, and how that goes."""
        return {watch["name"]: watch["state"] for watch in self.how()["watches"]}

    def metric(self, line: str) -> float:
        """The value of one line of the metrics, such as ``name{label="x"}``."""
        text = LOCAL.get(f"http://{self.metrics}/metrics", timeout=5).text
        values = [row.rpartition(" ")[2] for row in text.splitlines() if row.rpartition(" ")[0] == line]
        assert values, f"no {line} in the metrics"
        return float(values[0])

    def logged(self, words: str) -> bool:
        """Whether a log line holds ``words``."""
        return words in self.log.read_text()

    def toolsets(self) -> dict[str, Any]:
        """What the file holds, less the marker; empty while there is no file."""
        if not self.file.exists():
            return {}
        toolsets: dict[str, Any] = yaml.safe_load(self.file.read_text())["toolsets"]
        return {name: entry for name, entry in toolsets.items() if not name.startswith("discovery/")}

    def wait_ready(self) -> "Running":
        """Until /ready says so."""
        until(lambda: self.status("/ready") == 200, f"/ready is 200; the log:\n{self.log.read_text()}")
        return self

    def terminate(self) -> int:
        """SIGTERM, as the kubelet sends it; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=10)

    def kill(self) -> None:
        """At once, as a node that dies does it."""
        _kill(self.process)


class Start(Protocol):
    """Starts ``dynamic-toolset run`` with these arguments and environment."""

    def __call__(self, *arguments: str, env: Mapping[str, str] = ...) -> Running: ...


def identity(file: Path) -> tuple[int, int]:
    """Changes when the file is replaced or written."""
    stat = file.stat()
    return stat.st_ino, stat.st_mtime_ns


def free_address() -> str:
    """A port of loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Services that are stopped when the test ends."""
    with starting(tmp_path) as run:
        yield run


@contextmanager
def starting(directory: Path) -> Iterator[Start]:
    """Services that are stopped at the end; their logs and files are in ``directory``."""
    with ExitStack() as stopping:

        def run(*arguments: str, env: Mapping[str, str] = {}) -> Running:
            addresses = {"--http": free_address(), "--metrics": free_address()}
            for option in addresses.keys() & set(arguments):
                addresses[option] = arguments[arguments.index(option) + 1]
            http, metrics = addresses["--http"], addresses["--metrics"]
            file = directory / "out" / "custom_toolset.yaml"
            log = directory / f"service-{free_address().rpartition(':')[2]}.log"
            line = [
                COMMAND,
                "run",
                "--http",
                http,
                "--metrics",
                metrics,
                "--toolset-file",
                str(file),
                *arguments,
            ]
            with log.open("wb") as output:
                process = subprocess.Popen(
                    line,
                    env={**os.environ, **env},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            stopping.callback(_kill, process)
            return Running(http, metrics, file, log, process)

        yield run


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """At once, and its worker too: how it ends when it is asked to is a test of its own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
