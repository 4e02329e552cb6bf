"""The API is as its OpenAPI document says: Schemathesis asks a running service all it can think of."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service import Start

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/cluster"
SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))


@pytest.mark.timeout(600)
def test_every_answer_is_as_documented_and_none_is_a_failure_of_ours(start: Start, tmp_path: Path) -> None:
    running = start("--from", str(EXAMPLES)).wait_ready()

    done = subprocess.run(
        [
            SCHEMATHESIS,
            "run",
            f"http://{running.http}/api/v1/openapi.json",
            "--checks=all",
            "--max-examples=40",
            "--generation-deterministic",
            "--suppress-health-check=all",  # of its own generators
            "--no-color",
        ],
        cwd=tmp_path,  # it keeps what it found there
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 selected / 9 total" in done.stdout
    assert not running.logged("by a bug"), running.log.read_text()
    assert running.status("/health") == 200


def test_what_is_no_http_is_answered_with_problem_details_too(start: Start) -> None:
    running = start("--from", str(EXAMPLES)).wait_ready()
    host, _, port = running.http.rpartition(":")
    assert answer_to(b"GARBAGE\r\n\r\n", host, int(port)).startswith(b"HTTP/1.1 400 Bad Request")
    too_long = b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n"
    said = answer_to(too_long, host, int(port))
    assert b"Content-Type: application/problem+json" in said
    assert b'"status": 414' in said


def answer_to(request: bytes, host: str, port: int) -> bytes:
    with socket.create_connection((host, port), timeout=10) as connection:
        connection.sendall(request)
        said = b""
        while piece := connection.recv(65536):
            said += piece
    return said
