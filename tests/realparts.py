"""The real parts that integration, contract and e2e tests run against, as fixtures.

`scripts/setup-testbed` gets them and links them in `.testbed/`. Whatever a fixture starts, it stops: also
when the test fails or somebody presses Ctrl-C.
"""

import itertools
import json
import os
import re
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest
import requests

ROOT = Path(__file__).resolve().parent.parent
TESTBED = ROOT / ".testbed"
LOCAL = requests.Session()
LOCAL.trust_env = False  # no proxy stands between a test and this machine

T = TypeVar("T")


def require(thing: Path, how_to_get_it: str) -> Path:
    """Give `thing` back if it is there; else skip the test, naming the command, or in CI fail it.

    A CI run that skipped what it was made for must not look green.
    """
    if not thing.exists():
        unavailable(f"{thing.name} is missing: {how_to_get_it}")
    return thing


def unavailable(why: str) -> NoReturn:
    """Skip the test, or in CI fail it."""
    if os.environ.get("CI", "").lower() not in {"", "0", "false"}:
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


def part(name: str) -> Path:
    """A part of the testbed, by its path in `.testbed/`."""
    return require(TESTBED / name, f"run scripts/setup-testbed {name.partition('/')[0]}")


def until(condition: Callable[[], T], what: str, *, seconds: float = 30, pause: float = 0.05) -> T:
    """Ask `condition` until its answer is true, and give that answer; else fail, saying `what` is not so."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what} (the last answer was {answer!r})")
        time.sleep(pause)
    return answer


def answers(url: str) -> bool:
    """Whether a GET of `url` is answered with a success."""
    try:
        return LOCAL.get(url, timeout=2).ok
    except requests.RequestException:
        return False


@cache
def network() -> str:
    """The part of the loopback network that is this test run's: its ClusterIPs begin with it.

    Two runs on one machine must not talk to each other's servers. What keeps the part is a bound socket:
    nothing to race for, and nothing left behind by a run that was killed.
    """
    for number in range(96, 128):
        _KEPT.append(socket.socket())
        with suppress(OSError):
            _KEPT[-1].bind((f"127.{number}.0.2", 19999))
            return f"127.{number}"
    pytest.fail("every part of the loopback network is taken: does something listen on port 19999?")


_KEPT: list[socket.socket] = []


def pytest_unconfigure() -> None:
    while _KEPT:
        _KEPT.pop().close()


@dataclass(frozen=True)
class ControlPlane:
    """A real API server with its etcd and controllers, of this test run alone."""

    directory: Path
    flags: str = ""

    @property
    def kubeconfig(self) -> Path:
        """The admin's."""
        return self.directory / "kubeconfig"

    @property
    def server(self) -> str:
        """The API server's URL; it stays the same when it is stopped and started."""
        return str(json.loads(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"])

    @property
    def ca(self) -> Path:
        """The certificate to trust the API server by."""
        return self.directory / "ca.crt"

    def start(self) -> None:
        """Start what of it does not run, with all that it held when it was stopped."""
        self._script("up.sh")

    def stop(self, *programs: str) -> None:
        """Kill it at once (SIGKILL), as an outage does: all of it, or only these of its programs."""
        self._script("down.sh", *programs)

    def etcd(self, method: str, **request: Any) -> dict[str, Any]:
        """Ask etcd itself (etcd: gRPC gateway), such as ``kv/range``."""
        line = ["curl", "-sf", "--unix-socket", str(self.directory / "etcd.sock:0")]
        answer = run([*line, f"http://etcd/v3/{method}", "-d", json.dumps(request)])
        told: dict[str, Any] = json.loads(answer)
        return told

    def compact(self) -> None:
        """Let etcd forget all but the present: what the API server does every five minutes."""
        revision = self.etcd("kv/range", key="AA==")["header"]["revision"]
        self.etcd("kv/compaction", revision=revision, physical=True)

    def kubectl(self, *arguments: str, input: str | None = None, kubeconfig: Path | None = None) -> str:  # noqa: A002
        """Run kubectl, by default as the admin, and give what it printed; raise if it failed."""
        command = [
            str(part("control-plane") / "kubectl"),
            f"--kubeconfig={kubeconfig or self.kubeconfig}",
            *arguments,
        ]
        return run(command, input=input)

    def apply(self, *manifests: Mapping[str, Any]) -> None:
        """Create or change objects."""
        items = {"apiVersion": "v1", "kind": "List", "items": manifests}
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=json.dumps(items))

    def token(self, namespace: str, service_account: str, *options: str) -> str:
        """A real token of a service account; `options` are those of `kubectl create token`."""
        return self.kubectl("create", "token", service_account, "--namespace", namespace, *options).strip()

    def kubeconfig_of(self, namespace: str, service_account: str) -> Path:
        """A kubeconfig that acts as a service account, to see what its RBAC rules allow."""
        config = json.loads(self.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": self.token(namespace, service_account)}
        config["contexts"][0]["context"]["namespace"] = namespace
        path = self.directory / f"{namespace}-{service_account}.kubeconfig"
        path.write_text(json.dumps(config))
        return path

    def _script(self, name: str, *arguments: str) -> None:
        environment = {
            **os.environ,
            "BIN": str(part("control-plane")),
            "APISERVER_ARGS": self.flags,
            "SERVICE_CIDR": f"{network()}.0.0/16",
        }
        run([str(ROOT / "tests/testbed" / name), str(self.directory), *arguments], env=environment)


def run(command: Sequence[str], *, input: str | None = None, env: Mapping[str, str] | None = None) -> str:  # noqa: A002
    """Run a program that ends by itself and give what it printed; raise with its message if it failed."""
    done = subprocess.run(
        command, input=input, env=env, capture_output=True, text=True, timeout=180, check=False
    )
    if done.returncode:
        message = (
            f"{Path(command[0]).name} {' '.join(command[1:])} exited with {done.returncode}:\n{done.stderr}"
        )
        raise RuntimeError(message)
    return done.stdout


@contextmanager
def running_control_plane(directory: Path, flags: str = "") -> Iterator[ControlPlane]:
    """A control plane of a test's own, for those that stop it or give the API server `flags` (3 to 5 s)."""
    part("control-plane")
    plane = ControlPlane(directory, flags)
    try:
        plane.start()
        yield plane
    finally:
        if directory.is_dir():
            plane.stop()


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The control plane that all tests share: each keeps to its own `namespace`."""
    with running_control_plane(tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane


@pytest.fixture
def namespace(control_plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh namespace, named after the test."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    name = f"{words[:40]}-{secrets.token_hex(3)}".removeprefix("-")
    control_plane.kubectl("create", "namespace", name)
    until(
        lambda: control_plane.kubectl("get", "serviceaccount", "default", "-n", name, "--ignore-not-found"),
        f"namespace {name} has its default service account",
    )
    yield name
    # Kubernetes waits 5 s before it looks at a namespace that goes, so the next test does not wait for that;
    # what it could see or stumble over, a Service or its address, goes now.
    control_plane.kubectl("delete", "services,configmaps", "--all", "--namespace", name)
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def cluster_ip() -> Callable[[], str]:
    """Call it for a ClusterIP that nobody has: Kubernetes gives these only to who asks for one of them."""
    hosts = itertools.cycle(range(10, 250))
    return lambda: f"{network()}.0.{next(hosts)}"
