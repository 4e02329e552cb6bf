"""A real MCP server (the SDK of HolmesGPT's own environment): greeted, proven, and used by HolmesGPT."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.home import Home, service
from tests.programs import Holmes
from tests.realparts import LOCAL, part, until
from tests.service import Start

SERVER = """
import sys
from mcp.server.fastmcp import FastMCP
from mcp.server.transport_security import TransportSecuritySettings

open_to_any_host = TransportSecuritySettings(enable_dns_rebinding_protection=False)
server = FastMCP("lab", host=sys.argv[1], port=8000, stateless_http=sys.argv[2] == "stateless",
                 transport_security=open_to_any_host)

@server.tool()
def add(a: int, b: int) -> int:
    "Adds two numbers"
    return a + b

server.run(transport="streamable-http")
"""

Servers = Callable[[str, str], Path]


@pytest.fixture
def mcp_server(tmp_path: Path) -> Iterator[Servers]:
    processes: list[subprocess.Popen[bytes]] = []

    def serve(address: str, kind: str) -> Path:
        program, log = tmp_path / "server.py", tmp_path / "mcp.log"
        program.write_text(SERVER)
        command = [str(part("holmesgpt") / "bin/python"), str(program), address, kind]
        with log.open("wb") as output:
            processes.append(subprocess.Popen(command, stdout=output, stderr=output))

        def refuses() -> bool:
            try:
                return LOCAL.get(f"http://{address}:8000/nothing", timeout=2).status_code == 404
            except OSError:
                return False

        until(refuses, f"it listens; its log:\n{log.read_text()}")
        return log

    yield serve
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize("kind", ["stateless", "with sessions"])
def test_it_is_proven_by_its_greeting_and_its_session_is_ended(
    home: Home, start: Start, cluster_ip: Callable[[], str], mcp_server: Servers, holmes: Holmes, kind: str
) -> None:
    address = cluster_ip()
    log = mcp_server(address, kind)
    home.plane.apply(service(home.watched, "lab-mcp", address, 8000))
    home.configure(f"namespaces: [{home.watched}]", f"trusted_namespaces: [{home.watched}]")

    running = start(env=home.env).wait_ready()

    (name,) = (name for name in running.toolsets() if name.startswith("mcp"))
    url = f"http://lab-mcp.{home.watched}.svc.cluster.local:8000/mcp"
    assert yaml.safe_load(running.file.read_text())["toolsets"][name]["config"]["url"] == url
    if kind != "stateless":
        assert '"DELETE /mcp' in log.read_text()

    told = holmes(running.file, dns={f"lab-mcp.{home.watched}.svc.cluster.local": address})
    assert told["outcome"] == "loaded", told["toolsets"][name]["error"]
    assert told["toolsets"][name]["status"] == "enabled", told
    assert any(tool.endswith("add") for tool in told["toolsets"][name]["tools"])


def test_from_a_namespace_that_is_not_trusted_it_is_listed_only(
    home: Home, start: Start, cluster_ip: Callable[[], str], mcp_server: Servers
) -> None:
    address = cluster_ip()
    mcp_server(address, "stateless")
    home.plane.apply(service(home.watched, "lab-mcp", address, 8000))
    running = start(env=home.env).wait_ready()
    assert running.toolsets() == {}, "its texts would reach the LLM"
    assert '"type": "mcp"' in home.generated(home.watched)["data"]["toolset.json"]
