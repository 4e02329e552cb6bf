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

from tests.backends.kinds import KINDS, Kind
from tests.realparts import answers, part, until

NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")


@dataclass(frozen=True)
class Running:
    """A server of this test run."""

    kind: Kind
    ip: str
    log: Path


@contextmanager
def running(names: Sequence[str], cluster_ip: Callable[[], str]) -> Iterator[dict[str, Running]]:
    """These servers, started beside each other."""
    with ExitStack() as stack:
        started = {name: stack.enter_context(_started(KINDS[name], cluster_ip())) for name in names}
        for server, process, here in started.values():
            until(
                lambda server=server, process=process, here=here: _listens(server, process, here),  # type: ignore[misc]
                f"{server.kind.part} is ready at {server.ip}:{server.kind.port}{server.kind.ready}",
                seconds=240,  # all of them start at once
            )
        yield {name: server for name, (server, _, _) in started.items()}


@contextmanager
def _started(kind: Kind, ip: str) -> Iterator[tuple[Running, "subprocess.Popen[bytes]", Path]]:
    program = part(kind.part)
    # Below no directory of pytest's: what runs as nobody has to get there.
    here = Path(tempfile.mkdtemp())
    places = {"ip": ip, "port": kind.port, "address": f"{ip}:{kind.port}", "here": here}
    for name, content in kind.files:
        file = here / (name if name == "enabled_plugins" else name.replace("__", "/").replace("_", "."))
        file.parent.mkdir(exist_ok=True)
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
        yield Running(kind, ip, here / "log"), processes[-1], here
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
    if server.kind.ready:
        return answers(f"http://{server.ip}:{server.kind.port}{server.kind.ready}")
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
