"""From outside of the cluster: what HolmesGPT is told of Services that are reached through the API server."""

import pytest

from tests.unit.builders import discovered, service
from toolset import render
from toolset.via import KubectlProxy

PROXY = KubectlProxy.from_url("http://127.0.0.1:8001")
SETTINGS = render.Settings(via=PROXY)


def test_every_url_goes_through_the_proxy() -> None:
    found = [discovered(service(name)) for name in ("prometheus", "alertmanager", "jaeger", "loki")]
    text = render.toolset_yaml(render.toolset_document(found, SETTINGS))
    assert "svc.cluster.local" not in text
    assert "http://127.0.0.1:8001/api/v1/namespaces/shop/services/http:prometheus:9090/proxy" in text


def test_of_an_http_toolset_host_and_paths_are_those_of_the_proxy() -> None:
    document = render.toolset_document([discovered(service("alertmanager"))], SETTINGS)
    [endpoint] = document["toolsets"]["alertmanager/shop__alertmanager"]["config"]["endpoints"]
    assert endpoint["hosts"] == ["http://127.0.0.1:8001"]
    prefix = "/api/v1/namespaces/shop/services/http:alertmanager:9090/proxy"
    assert all(path.startswith(f"{prefix}/") for path in endpoint["paths"])


def test_what_speaks_no_http_is_listed_only() -> None:
    found = discovered(service("postgresql", ports=[5432]))
    assert render.toolset_names([found], SETTINGS) == {}
    assert render.why_not_rendered(found, SETTINGS) == "only HTTP goes through the API server"
    assert render.url_of(found, SETTINGS) == "tcp://postgresql.shop.svc.cluster.local:5432"


def test_of_https_the_api_server_is_told_so() -> None:
    found = discovered(service("elasticsearch", ports=["https:9200"]))
    assert "/services/https:elasticsearch:9200/proxy" in render.url_of(found, SETTINGS)


@pytest.mark.parametrize(("url", "origin"), [("http://[::1]:8001/", "http://[::1]:8001")])
def test_it_may_listen_anywhere(url: str, origin: str) -> None:
    assert KubectlProxy.from_url(url).origin == origin
