"""Real servers of the products in the catalogue, each at an address of its own as a ClusterIP would be."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from sidecar.prove import Outcome
from tests.realparts import ALERTMANAGER_CONFIG, PROMETHEUS_CONFIG, TESTBED, part, until

NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
JAEGER = """
service:
  extensions: [jaeger_storage, jaeger_query]
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], processors: [], exporters: [jaeger_storage_exporter]}}
extensions:
  jaeger_query:
    storage: {traces: memory}
    http: {endpoint: "{ip}:16686"}
    grpc: {endpoint: "{ip}:16685"}
  jaeger_storage: {backends: {memory: {memory: {max_traces: 10}}}}
receivers: {otlp: {protocols: {http: {endpoint: "{ip}:4318"}}}}
exporters: {jaeger_storage_exporter: {trace_storage: memory}}
"""
INFLUXDB = """
reporting-disabled = true
bind-address = "{ip}:8088"
[meta]
dir = "{here}/meta"
[data]
dir = "{here}/data"
wal-dir = "{here}/wal"
[http]
bind-address = "{ip}:8086"
"""
RABBITMQ = "listeners.tcp.1 = {ip}:5672\nmanagement.tcp.ip = {ip}\nmanagement.tcp.port = 15672\n"


@dataclass(frozen=True)
class Kind:
    """A server that can be had: what it is, where it listens, and what is to be found of it."""

    backend: str
    part: str
    port: int
    flags: tuple[str, ...]
    files: tuple[tuple[str, str], ...] = ()
    outcome: Outcome = Outcome.VERIFIED

    @property
    def there(self) -> bool:
        """Whether its part was got."""
        return (TESTBED / self.part).exists()


def kind(
    backend: str,
    part: str,
    port: int,
    *flags: str,
    outcome: Outcome = Outcome.VERIFIED,
    **files: str,
) -> Kind:
    """`flags` and the files' contents may hold {ip}, {port}, {address} and {here}, a directory of its own."""
    return Kind(backend, part, port, flags, tuple(files.items()), outcome)


LOGIN = Outcome.NEEDS_CREDENTIALS
KINDS = {
    "prometheus": kind(
        "prometheus",
        "programs/prometheus",
        9090,
        "--web.listen-address={address}",
        "--config.file={here}/config",
        "--storage.tsdb.path={here}/data",
        config=PROMETHEUS_CONFIG,
    ),
    "alertmanager": kind(
        "alertmanager",
        "programs/alertmanager",
        9093,
        "--web.listen-address={address}",
        "--config.file={here}/config",
        "--storage.path={here}/data",
        "--cluster.listen-address=",
        config=ALERTMANAGER_CONFIG,
    ),
    "victoriametrics": kind(
        "victoriametrics",
        "go-backends/victoria-metrics",
        8428,
        "-httpListenAddr={address}",
        "-storageDataPath={here}/data",
    ),
    "victorialogs": kind(
        "victorialogs",
        "go-backends/victoria-logs",
        9428,
        "-httpListenAddr={address}",
        "-storageDataPath={here}/data",
    ),
    "jaeger": kind("jaeger", "go-backends/jaeger", 16686, "--config={here}/config.yaml", config_yaml=JAEGER),
    "nats": kind("nats", "go-backends/nats", 8222, "-a={ip}", "-p=4222", "-m=8222"),
    "redis": kind("redis", "debian-backends/redis", 6379, "--bind", "{ip}", "--save", ""),
    "redis-with-login": kind(
        "redis",
        "debian-backends/redis",
        6379,
        *("--bind", "{ip}", "--save", "", "--requirepass", "secret"),
        outcome=LOGIN,
    ),
    # Its system tables do not matter to who only reads its greeting.
    "mysql": kind(
        "mysql",
        "debian-backends/mariadb",
        3306,
        *("--user=root", "--skip-grant-tables", "--datadir={here}", "--socket={here}/socket"),
        *("--pid-file={here}/pid", "--bind-address={ip}", "--port=3306"),
        outcome=LOGIN,
    ),
    "influxdb": kind(
        "influxdb", "debian-backends/influxdb", 8086, "run", "-config", "{here}/config", config=INFLUXDB
    ),
    "rabbitmq": kind(
        "rabbitmq",
        "debian-backends/rabbitmq",
        15672,
        rabbitmq_conf=RABBITMQ,
        enabled_plugins="[rabbitmq_management].",
        outcome=LOGIN,
    ),
    "postgresql": kind(
        "postgresql",
        "debian-backends/postgresql",
        5432,
        *("-D", "{here}/data", "-p", "5432", "-c", "listen_addresses={ip}"),
        *("-c", "unix_socket_directories={here}"),
        outcome=LOGIN,
    ),
}


@dataclass(frozen=True)
class Running:
    """A server of this test run."""

    kind: Kind
    ip: str


@contextmanager
def running(names: Sequence[str], cluster_ip: Callable[[], str]) -> Iterator[dict[str, Running]]:
    """These servers, started beside each other."""
    with ExitStack() as stack:
        started = {name: stack.enter_context(_started(KINDS[name], cluster_ip())) for name in names}
        for server, process, here in started.values():
            until(
                lambda server=server, process=process, here=here: _listens(server, process, here),  # type: ignore[misc]
                f"{server.kind.part} listens at {server.ip}:{server.kind.port}",
            )
        yield {name: server for name, (server, _, _) in started.items()}


@contextmanager
def _started(kind: Kind, ip: str) -> Iterator[tuple[Running, "subprocess.Popen[bytes]", Path]]:
    program = part(kind.part)
    # Below no directory of pytest's: what runs as nobody has to get there.
    here = Path(tempfile.mkdtemp())
    places = {"ip": ip, "port": kind.port, "address": f"{ip}:{kind.port}", "here": here}
    for name, content in kind.files:
        # The name's last _ is the dot that keyword arguments cannot hold.
        file = here / (name if name == "enabled_plugins" else name.replace("_", "."))
        file.write_text(_filled(content, places))
    command = [str(program), *(_filled(flag, places) for flag in kind.flags)]
    environment = {**os.environ, "HOME": str(here)}
    processes: list[subprocess.Popen[bytes]] = []
    log = (here / "log").open("wb")

    def start(*line: str) -> None:
        processes.append(
            subprocess.Popen(
                line,
                cwd=here,
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        )

    try:
        if kind.backend == "postgresql":
            command = _postgresql(program, here, command)
        if kind.backend == "rabbitmq":
            environment |= _rabbitmq(here)
            # One of our own, which ends with the test: Erlang would leave one behind.
            start(str(next(program.resolve().parent.glob("usr/lib/erlang/erts-*/bin/epmd"))))
        start(*command)
        yield Running(kind, ip), processes[-1], here
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()
        shutil.rmtree(here, ignore_errors=True)


def _filled(text: str, places: Mapping[str, object]) -> str:
    """Not str.format: configurations hold braces of their own."""
    for name, value in places.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def _listens(server: Running, process: "subprocess.Popen[bytes]", here: Path) -> bool:
    if process.poll() is not None:
        pytest.fail(
            f"{server.kind.part} ended with {process.returncode}:\n{(here / 'log').read_text()[-2000:]}"
        )
    if server.kind.backend == "mysql":
        return (here / "socket").exists()  # it would count a visit that says nothing
    with socket.socket() as visit:
        visit.settimeout(1)
        return visit.connect_ex((server.ip, server.kind.port)) == 0


def _postgresql(programs: Path, here: Path, command: Sequence[str]) -> list[str]:
    """It runs as anybody but root."""
    user = NOBODY if os.geteuid() == 0 else ()
    if user:
        shutil.chown(here, "nobody", "nogroup")
    initdb = [*user, str(programs / "initdb"), "-D", str(here / "data"), "--no-sync", "--auth=scram-sha-256"]
    (here / "password").write_text("secret\n")
    (here / "password").chmod(0o644)
    subprocess.run(
        [*initdb, f"--pwfile={here / 'password'}"], cwd=here, check=True, capture_output=True, timeout=60
    )
    return [*user, str(programs / "postgres"), *command[1:]]


def _rabbitmq(here: Path) -> dict[str, str]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        epmd, distribution = one.getsockname()[1], two.getsockname()[1]
    return {
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(epmd),
        "RABBITMQ_NODENAME": "test@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_MNESIA_BASE": str(here / "mnesia"),
        "RABBITMQ_LOG_BASE": str(here / "logs"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "enabled_plugins"),
        "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq.conf"),
    }
