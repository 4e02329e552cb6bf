"""The command line: what it prints, how it ends, and what bad input gets."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from tests.home import Home, service
from tests.programs import Serve
from tests.realparts import ControlPlane, part, run, until
from tests.service import COMMAND, command

MANIFEST = """\
apiVersion: v1
kind: Service
metadata: {name: prometheus, namespace: monitoring}
spec:
  selector: {app: prometheus}
  ports: [{name: web, port: 9090}]
"""


def test_json_is_a_contract(home: Home, prometheus: Serve, cluster_ip: Callable[[], str]) -> None:
    real, nobody = cluster_ip(), cluster_ip()
    prometheus(f"{real}:9090")
    home.plane.apply(
        service(home.watched, "prometheus", real), service(home.watched, "prometheus-gone", nobody)
    )
    config = home.plane.directory / "only.yaml"
    config.write_text(f"service_discovery: {{namespaces: [{home.watched}]}}\n")

    done = command("discover", "--output", "json", "--config", str(config), env=home.env)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (found,) = told["services"]
    assert list(found) == ["namespace", "name", "backend", "url", "toolsets", "status", "evidence"]
    assert found["url"] == f"http://prometheus.{home.watched}.svc.cluster.local:9090"
    assert (found["backend"], found["status"]) == ("prometheus", "verified")
    assert found["toolsets"] == ["prometheus/metrics"]
    assert any("GET /-/healthy" in line for line in found["evidence"])
    (left_out,) = told["skipped"]
    assert list(left_out) == ["namespace", "name", "reason"]
    assert "Connection refused" in left_out["reason"]


def test_no_probe_asks_nobody(home: Home, cluster_ip: Callable[[], str]) -> None:
    home.plane.apply(service(home.watched, "prometheus", cluster_ip()))
    config = home.plane.directory / "only.yaml"
    config.write_text(f"service_discovery: {{namespaces: [{home.watched}]}}\n")
    done = command("discover", "--no-probe", "-o", "yaml", "--config", str(config), env=home.env)
    assert [found["status"] for found in yaml.safe_load(done.stdout)["services"]] == ["unproven"]


def test_watch_tells_what_comes_changes_and_goes_and_ends_by_ctrl_c(
    home: Home, prometheus: Serve, cluster_ip: Callable[[], str], tmp_path: Path
) -> None:
    address = cluster_ip()
    server = prometheus(f"{address}:9090")
    told = tmp_path / "told"
    # Who runs the tests in the background hands an ignored SIGINT down.
    line = ["env", "--default-signal=INT", COMMAND, "discover", "--watch", "-o", "json"]
    with (
        told.open("wb") as output,
        subprocess.Popen(
            line,
            env={**os.environ, **home.env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
        ) as watching,
    ):

        def last() -> tuple[str, str, str] | None:
            lines = told.read_text().splitlines()
            event = json.loads(lines[-1]) if lines else None
            return event and (event["type"], event["service"]["name"], event["service"]["status"])

        try:
            home.plane.apply(service(home.watched, "prometheus", address))
            until(lambda: last() == ("ADDED", "prometheus", "verified"), "it is told as verified")
            server.stop()
            until(lambda: last() == ("MODIFIED", "prometheus", "unhealthy"), "its outage is told", seconds=90)
            home.plane.kubectl("delete", "service", "prometheus", "-n", home.watched)
            until(lambda: (last() or "")[0] == "DELETED", "that it is gone is told")
            watching.send_signal(signal.SIGINT)
            assert watching.wait(timeout=20) == 0
        finally:
            watching.kill()
    assert not home.generated(home.watched), "it writes nothing"


def test_watch_prints_no_file() -> None:
    done = command("discover", "--watch", "-o", "holmes", "--from", "examples/cluster")
    assert done.returncode == 2
    assert "run keeps a file" in " ".join(done.stderr.replace("│", " ").split())


def test_looking_writes_no_configuration_where_there_is_none(home: Home) -> None:
    name = "kubernaut-dynamic-toolset-config"
    home.plane.kubectl("delete", "configmap", name, "-n", home.own)
    done = command("discover", "--no-probe", env={**home.env, "KUBECONFIG": str(home.plane.kubeconfig)})
    assert done.returncode == 0, done.stderr
    assert not home.plane.kubectl("get", "configmap", name, "-n", home.own, "--ignore-not-found")


def test_kubectl_runs_it_as_a_plugin_and_completes_it(control_plane: ControlPlane, home: Home) -> None:
    kubectl = str(part("control-plane") / "kubectl")
    path = f"{Path(COMMAND).parent}:{os.environ['PATH']}"
    env = {**os.environ, **home.env, "PATH": path}
    done = run([kubectl, "dynamic-toolset", "discover", "--no-probe", "-o", "json"], env=env)
    assert list(json.loads(done)) == ["services", "skipped"]
    completed = run([kubectl, "__complete", "dynamic-toolset", "discover", "-o", ""], env=env)
    assert completed.split() == ["table", "wide", "json", "yaml", "holmes", ":4"]


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_there_are_colours_on_a_terminal_only(no_color: str, coloured: bool) -> None:
    line = [COMMAND, "discover", "--from", "examples/cluster"]
    assert "\x1b[" not in command(*line[1:]).stdout
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "200", "NO_COLOR": no_color}
    assert ("\x1b[33m" in on_a_terminal(line, env)) is coloured


def test_progress_is_shown_on_a_terminal_only() -> None:
    line = [COMMAND, "discover", "--from", "examples/cluster"]
    assert command(*line[1:]).stderr == ""
    assert "looking for Services" in on_a_terminal(line, {**os.environ, "TERM": "xterm-256color"})


def on_a_terminal(line: list[str], env: dict[str, str]) -> str:
    """What a program prints where its output is a terminal."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        line, env=env, stdin=subprocess.DEVNULL, stdout=follower, stderr=follower
    ) as process:
        os.close(follower)
        told = b""
        with suppress(OSError):  # Linux: a terminal that nobody holds open any more
            while read := os.read(leader, 65536):
                told += read
        assert process.wait(timeout=60) == 0
    os.close(leader)
    return told.decode()


def test_manifests_come_from_standard_input_too() -> None:
    done = command("discover", "--from", "-", "-o", "json", stdin=MANIFEST)
    assert [found["name"] for found in json.loads(done.stdout)["services"]] == ["prometheus"]


def test_kubectls_own_output_is_understood(
    control_plane: ControlPlane, home: Home, cluster_ip: Callable[[], str]
) -> None:
    home.plane.apply(service(home.watched, "prometheus", cluster_ip()))
    for form in ("yaml", "json"):
        printed = control_plane.kubectl("get", "services", "-n", home.watched, "-o", form)
        done = command("discover", "--from", "-", "-o", "json", stdin=printed)
        assert [found["name"] for found in json.loads(done.stdout)["services"]] == ["prometheus"], form


def test_a_broken_manifest_is_named_with_its_line_and_costs_only_itself(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(MANIFEST)
    (tmp_path / "broken.yaml").write_text("kind: Service\nmetadata: {name: [\n")
    (tmp_path / "odd.yaml").write_text(MANIFEST + "---\n" + MANIFEST.replace("9090", "ninety"))
    done = command("discover", "--from", str(tmp_path), "-o", "json")
    assert done.returncode == 0
    assert len(json.loads(done.stdout)["services"]) == 1
    assert f"{tmp_path / 'broken.yaml'}: line 3: not YAML" in done.stderr
    assert f"{tmp_path / 'odd.yaml'}: line 8: spec.ports[0].port" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("discover", "--from", "nowhere"), 1, "nowhere: no such file or directory"),
        (("discover", "--kubeconfig", "nowhere"), 78, "no usable cluster configuration in nowhere"),
        (("discover", "--from", "examples/cluster", "--config", "nowhere"), 78, "nowhere: no such file"),
        (("run", "--from", "examples/cluster", "--toolset-file", "x.conf"), 2, "end in .yaml or .yml"),
        (("run", "--http", "8080"), 2, "expected HOST:PORT"),
        (("run", "--http", "127.0.0.1:9090"), 2, "needs another port"),
        (("validate", "nowhere"), 2, "nowhere: cannot be read"),
    ],
)
def test_what_cannot_work_is_said_in_a_sentence(arguments: tuple[str, ...], code: int, words: str) -> None:
    done = command(*arguments)
    assert done.returncode == code
    assert words in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


def test_a_pod_without_its_namespace_is_told_which_variable_is_missing() -> None:
    done = command("discover", env={"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "9"})
    assert done.returncode == 78


def test_validate_tells_all_errors_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("service_discovery:\n  discovery_interval: soon\n  namespaces: [A]\n  colour: blue\n")
    done = command("validate", str(file))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{file}: line 2: service_discovery.discovery_interval: 'soon' is no duration")
    assert lines[1].startswith(f"{file}: line 3: service_discovery.namespaces[0]: 'A' is no namespace")
    assert lines[2].startswith(f"{file}: line 4: service_discovery.colour: unknown key; allowed are")
    assert len(lines) == 3


def test_validate_accepts_what_is_right(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("service_discovery: {discovery_interval: 10m}\n")
    assert "a valid config" in command("validate", str(config)).stdout
    holmes = command("discover", "--from", "examples/cluster", "-o", "holmes").stdout
    assert "a valid toolset" in command("validate", "-", stdin=holmes).stdout


def test_a_read_only_place_is_named_with_the_cure_and_ends_with_1(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = command("run", "--once", "--from", "examples/cluster", "--toolset-file", str(blocked / "x.yaml"))
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "--toolset-file" in done.stderr


def test_once_writes_the_file_and_ends(tmp_path: Path) -> None:
    file = tmp_path / "custom_toolset.yaml"
    done = command("run", "--once", "--from", "examples/cluster", "--toolset-file", str(file))
    assert done.returncode == 0, done.stderr
    assert "prometheus/metrics" in yaml.safe_load(file.read_text())["toolsets"]


def test_log_lines_are_json_when_asked(tmp_path: Path) -> None:
    done = command(
        "run",
        "--once",
        "--from",
        "examples/cluster",
        "--toolset-file",
        str(tmp_path / "x.yaml"),
        env={"LOG_FORMAT": "json", "LOG_LEVEL": "info"},
    )
    messages = [json.loads(line)["message"] for line in done.stderr.splitlines()]
    assert any("discovered 7 services" in message for message in messages)
