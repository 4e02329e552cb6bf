"""The real HolmesGPT's own endpoint is told that the file changed."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from sidecar.holmes import PATH, Refresher
from sidecar.metrics import Metrics
from tests.realparts import answers, part, until
from tests.service import free_address

SERVER = """
import sys
import uvicorn
from unittest.mock import MagicMock
from fastapi import FastAPI
from holmes.admin.admin_api import init_admin_app
from holmes.config import Config
from pathlib import Path

app = FastAPI()
init_admin_app(app, Config(custom_toolsets=[Path(sys.argv[1])]), MagicMock(enabled=False))
host, port = sys.argv[2].split(":")
uvicorn.run(app, host=host, port=int(port), log_level="warning")
"""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """HolmesGPT's own admin API, over its own loader and a toolset file; no LLM is needed for that."""
    file = tmp_path / "custom_toolset.yaml"
    file.write_text('toolsets:\n  "discovery/revision-1":\n    description: "x"\n')
    where = free_address()
    log = tmp_path / "holmes.log"
    with log.open("wb") as output:
        command = [str(part("holmesgpt") / "bin/python"), "-c", SERVER, str(file), where]
        process = subprocess.Popen(command, stdout=output, stderr=output)
    until(lambda: answers(f"http://{where}/openapi.json") or process.poll(), "it answers", seconds=120)
    assert process.poll() is None, log.read_text()[-2000:]
    yield where
    process.kill()
    process.wait()


def value(metrics: Metrics, status: str) -> float:
    return float(metrics.holmes_refreshes.labels(status)._value.get())


def test_holmesgpt_reads_its_toolsets_anew(address: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    metrics = Metrics(CollectorRegistry())
    assert Refresher(f"http://{address}/", metrics.holmes_refreshes).refresh()
    assert value(metrics, "success") == 1
    assert "HolmesGPT read its toolsets anew" in caplog.text


def test_one_without_the_endpoint_is_left_to_its_own_interval(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    metrics = Metrics(CollectorRegistry())
    assert Refresher(f"http://{address}/elsewhere", metrics.holmes_refreshes).refresh()
    assert f"HolmesGPT has no {PATH}" in caplog.text
    assert value(metrics, "failed") == 0


def test_one_that_is_not_up_is_tried_again() -> None:
    metrics = Metrics(CollectorRegistry())
    assert not Refresher(f"http://{free_address()}", metrics.holmes_refreshes).refresh()
    assert value(metrics, "failed") == 1
