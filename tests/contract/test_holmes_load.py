"""The fixture `holmes` itself: it is HolmesGPT that answers, over the network, to what the file says now."""

from collections.abc import Callable
from pathlib import Path

from tests.programs import Holmes, Serve


def test_holmesgpt_queries_a_real_prometheus(
    holmes: Holmes, prometheus: Serve, cluster_ip: Callable[[], str], tmp_path: Path
) -> None:
    server = prometheus(f"{cluster_ip()}:9090")
    file, edited = tmp_path / "toolset.yaml", tmp_path / "edited.yaml"
    text = f'toolsets:\n  prometheus/metrics: {{enabled: true, config: {{prometheus_url: "{server.url}"}}}}\n'
    file.write_text(text + '  discovery/revision-1: {description: "first"}\n')
    edited.write_text(text + '  discovery/revision-2: {description: "second"}\n')

    told = holmes(
        file,
        then=[edited],
        invoke=[("execute_prometheus_instant_query", {"query": "1 + 1", "description": "two"})],
    )

    assert told["outcome"] == "loaded", told
    assert told["toolsets"]["prometheus/metrics"]["status"] == "enabled"
    assert told["refreshes"][0]["picked_up"]
    assert told["invocations"][0]["status"] == "success", told["invocations"]


def test_holmesgpt_refuses_a_file_of_nothing(holmes: Holmes, tmp_path: Path) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text("")
    assert holmes(file)["outcome"] == "refused"
