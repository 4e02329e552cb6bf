"""Real programs as fixtures: servers to be found, those that look like them, and HolmesGPT."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.realparts import ROOT, answers, part, run, until


@dataclass
class Server:
    """A real server of this machine, listening at `address` (HOST:PORT)."""

    address: str
    command: Sequence[str]
    ready: str
    log: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.address}"

    @property
    def stopped(self) -> bool:
        """Whether it does not run."""
        return self._process is None

    def start(self) -> None:
        """Start it, with what it stored before, and wait until it is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        process = self._process

        def ready() -> bool:
            if process.poll() is not None:
                pytest.fail(
                    f"{self.command[0]} ended with {process.returncode}:\n{self.log.read_text()[-2000:]}"
                )
            return answers(self.url + self.ready)

        until(ready, f"{self.url}{self.ready} answers; its log is {self.log}")

    def stop(self) -> None:
        """Stop it at once, as an outage does: its port refuses connections from now on."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Serve(Protocol):
    """Starts a program of its kind at HOST:PORT, with further flags, and returns when it is ready."""

    def __call__(self, address: str, *flags: str, config: str = ..., ready: str = ...) -> Server: ...


PROMETHEUS_CONFIG = "global: {scrape_interval: 5s}\n"
ALERTMANAGER_CONFIG = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


@contextmanager
def _factory(
    directory: Path, program: str, default_config: str, flags: Sequence[str], ready: str
) -> Iterator[Serve]:
    """`flags` may hold {address}, {config} and {storage}; flags of the caller come after them."""
    with ExitStack() as running:

        def serve(address: str, *more: str, config: str = default_config, ready: str = ready) -> Server:
            here = directory / f"{program}-{address.replace(':', '-')}"
            here.mkdir(exist_ok=True)
            file = here / "config.yaml"
            file.write_text(config)
            places = {"address": address, "config": file, "storage": here / "data"}
            command = [str(part(f"programs/{program}")), *(flag.format(**places) for flag in flags), *more]
            server = Server(address, command, ready, here / "log")
            running.callback(server.stop)
            server.start()
            return server

        yield serve


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Serve]:
    """Real Prometheus servers: `prometheus(f"{cluster_ip()}:9090")`."""
    with prometheuses(tmp_path) as serve:
        yield serve


def prometheuses(directory: Path) -> AbstractContextManager[Serve]:
    """The same for fixtures that live longer than a test."""
    flags = ("--web.listen-address={address}", "--config.file={config}", "--storage.tsdb.path={storage}")
    return _factory(directory, "prometheus", PROMETHEUS_CONFIG, flags, "/-/ready")


@pytest.fixture
def prometheus_agent(tmp_path: Path) -> Iterator[Serve]:
    """Real Prometheus servers in agent mode: all of Prometheus but what HolmesGPT needs, a query API."""
    flags = (
        "--enable-feature=agent",
        "--web.listen-address={address}",
        "--config.file={config}",
        "--storage.agent.path={storage}",
    )
    with _factory(tmp_path, "prometheus", PROMETHEUS_CONFIG, flags, "/-/ready") as serve:
        yield serve


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Serve]:
    """Real Alertmanagers: `alertmanager(f"{cluster_ip()}:9093")`."""
    flags = (
        "--web.listen-address={address}",
        "--config.file={config}",
        "--storage.path={storage}",
        "--cluster.listen-address=",  # alone: it would look for peers
    )
    with _factory(tmp_path, "alertmanager", ALERTMANAGER_CONFIG, flags, "/-/ready") as serve:
        yield serve


@pytest.fixture
def node_exporter(tmp_path: Path) -> Iterator[Serve]:
    """Real node exporters: they have a /metrics like Prometheus and are not one."""
    flags = ("--web.listen-address={address}", "--collector.disable-defaults")
    with _factory(tmp_path, "node_exporter", "", flags, "/metrics") as serve:
        yield serve


@pytest.fixture
def pushgateway(tmp_path: Path) -> Iterator[Serve]:
    """Real Pushgateways: they answer /-/ready and part of Prometheus' API, and are not one."""
    with _factory(tmp_path, "pushgateway", "", ("--web.listen-address={address}",), "/-/ready") as serve:
        yield serve


class Holmes(Protocol):
    """Lets the real HolmesGPT load a toolset file, as its server does."""

    def __call__(
        self,
        file: Path,
        *,
        check: bool = True,
        invoke: Sequence[tuple[str, Mapping[str, Any]]] = (),
        then: Sequence[Path] = (),
        env: Mapping[str, str] | None = None,
        dns: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """What HolmesGPT made of `file`, as `tests/contract/holmes_load.py` describes it.

        `check`: ask the backends, as HolmesGPT does before it uses them. `then`: edit the file to be like
        each of these and let HolmesGPT's periodic refresh look. `invoke`: then call these tools. `env`: more
        of HolmesGPT's environment. `dns`: addresses by name, as the cluster's DNS would answer.
        """
        ...


@pytest.fixture(scope="session")
def holmes() -> Holmes:
    """The real HolmesGPT."""

    def load(
        file: Path,
        *,
        check: bool = True,
        invoke: Sequence[tuple[str, Mapping[str, Any]]] = (),
        then: Sequence[Path] = (),
        env: Mapping[str, str] | None = None,
        dns: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        command = [
            str(part("holmesgpt") / "bin/python"),
            str(ROOT / "tests/contract/holmes_load.py"),
            str(file),
        ]
        command += ["--check"] if check else []
        for name, address in (dns or {}).items():
            command += ["--dns", f"{name}={address}"]
        for path in then:
            command += ["--then", str(path)]
        for tool, arguments in invoke:
            command += ["--invoke", tool, json.dumps(arguments)]
        told: dict[str, Any] = json.loads(run(command, env={**os.environ, **(env or {})}))
        return told

    return load
