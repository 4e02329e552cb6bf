"""What the API answers, on a controller that has looked at the example manifests."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry
from werkzeug.test import TestResponse

from sidecar import assembly
from sidecar.api.access import Everybody
from sidecar.api.app import create_app
from sidecar.api.operations import MAX_JSON, MAX_TEXT
from sidecar.assembly import Wanted
from sidecar.controller import Controller
from sidecar.metrics import Metrics
from tests.realparts import until

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/cluster"
YAML = {"Content-Type": "application/yaml"}
MANIFEST = """\
apiVersion: v1
kind: Service
metadata: {name: prometheus, namespace: shop}
spec: {ports: [{port: 9090}]}
"""


@pytest.fixture(scope="module")
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


@pytest.fixture(scope="module")
def app(metrics: Metrics) -> Flask:
    controller = Controller(assembly.of_manifests(str(EXAMPLES), Wanted()), metrics)
    assert controller.look()
    return create_app(controller, metrics, Everybody())


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def refused(answer: TestResponse, status: int) -> str:
    """The detail of an error, which must be problem details."""
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/problem+json"
    problem = answer.get_json(force=True)
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["status"] == status
    return str(problem["detail"])


def paged(client: FlaskClient, limit: int) -> Iterator[dict[str, Any]]:
    after = ""
    while True:
        query = {"limit": limit, **({"after": after} if after else {})}
        page = client.get("/api/v1/services", query_string=query).get_json()
        yield from page["items"]
        after = page["next"]
        if not after:
            return


class TestServices:
    def test_all_that_something_spoke_for_are_listed_in_order(self, client: FlaskClient) -> None:
        services = client.get("/api/v1/services").get_json()["items"]
        keys = [f"{one['namespace']}/{one['name']}" for one in services]
        assert keys == sorted(keys)
        assert {"unproven", "left_out"} == {one["status"] for one in services}

    def test_one_says_what_it_is_where_and_for_which_toolset(self, client: FlaskClient) -> None:
        [one] = client.get("/api/v1/services?type=elasticsearch").get_json()["items"]
        assert one["url"] == "https://orders-search-es-http.shop.svc.cluster.local:9200"
        assert one["title"] == "Elasticsearch"
        assert one["toolsets"] == ["elasticsearch/cluster", "elasticsearch/data"]
        assert one["since"].endswith("Z")

    def test_what_is_left_out_says_why(self, client: FlaskClient) -> None:
        for one in client.get("/api/v1/services?status=left_out").get_json()["items"]:
            assert one["evidence"][0]

    @pytest.mark.parametrize("limit", [1, 2, 4, 1000])
    def test_pages_of_any_size_hold_each_one_once(self, client: FlaskClient, limit: int) -> None:
        assert list(paged(client, limit)) == client.get("/api/v1/services").get_json()["items"]

    def test_filters_work_together_and_the_total_is_that_of_all_pages(self, client: FlaskClient) -> None:
        page = client.get("/api/v1/services?namespace=shop&status=unproven&limit=1").get_json()
        assert len(page["items"]) == 1
        assert page["total"] > 1
        assert page["items"][0]["namespace"] == "shop"

    @pytest.mark.parametrize(
        ("query", "named"),
        [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=x", "limit"),
            ("namespace=Shop", "namespace"),
            ("status=good", "status"),
            ("type=a b", "type"),
            ("after=x", "after"),
            ("offset=1", "offset"),
            ("limit=1&limit=2", "limit"),
        ],
    )
    def test_a_wrong_query_is_refused_naming_the_parameter(
        self, client: FlaskClient, query: str, named: str
    ) -> None:
        assert refused(client.get(f"/api/v1/services?{query}"), 400).startswith(named + ":")

    def test_one_is_explained_step_by_step(self, client: FlaskClient) -> None:
        told = client.get("/api/v1/services/shop/orders-search-es-http").get_json()
        assert told["service"]["type"] == "elasticsearch"
        assert "Recognised" in told["explanation"]

    def test_one_that_is_not_there_is_not_found(self, client: FlaskClient) -> None:
        assert "shop/nobody" in refused(client.get("/api/v1/services/shop/nobody"), 404)


class TestToolsets:
    def test_each_names_the_services_that_it_is_made_of(self, client: FlaskClient) -> None:
        toolsets = {one["name"]: one for one in client.get("/api/v1/toolsets").get_json()["items"]}
        assert [one["name"] for one in toolsets["elasticsearch/data"]["services"]] == [
            "orders-search-es-http"
        ]

    @pytest.mark.parametrize(("query", "some"), [("enabled=true", True), ("enabled=false", False)])
    def test_they_are_filtered(self, client: FlaskClient, query: str, some: bool) -> None:
        assert bool(client.get(f"/api/v1/toolsets?{query}").get_json()["items"]) is some

    def test_healthy_is_true_or_false_and_nothing_else(self, client: FlaskClient) -> None:
        assert client.get("/api/v1/toolsets?healthy=true").get_json()["items"]
        assert not client.get("/api/v1/toolsets?healthy=false").get_json()["items"]
        assert refused(client.get("/api/v1/toolsets?healthy=1"), 400).startswith("healthy:")

    def test_a_name_may_hold_slashes(self, client: FlaskClient) -> None:
        one = client.get("/api/v1/toolsets/elasticsearch/data").get_json()
        assert one["name"] == "elasticsearch/data"
        assert list(yaml.safe_load(one["yaml"])["toolsets"]) == ["elasticsearch/data"]

    def test_one_that_is_not_there_is_not_found(self, client: FlaskClient) -> None:
        assert "no/such" in refused(client.get("/api/v1/toolsets/no/such"), 404)

    def test_the_file_is_what_the_toolsets_are(self, client: FlaskClient) -> None:
        answer = client.get("/api/v1/custom_toolset.yaml")
        assert answer.mimetype == "application/yaml"
        names = [one["name"] for one in client.get("/api/v1/toolsets").get_json()["items"]]
        assert sorted(yaml.safe_load(answer.text)["toolsets"]) == sorted(names)


class TestDiscover:
    @pytest.fixture
    def client(self) -> FlaskClient:
        metrics = Metrics(CollectorRegistry())
        controller = Controller(assembly.of_manifests(str(EXAMPLES), Wanted()), metrics)
        return create_app(controller, metrics, Everybody()).test_client()

    def test_a_pass_is_accepted_once_until_it_ends(self, client: FlaskClient) -> None:
        assert client.post("/api/v1/discover").status_code == 202
        assert client.get("/api/v1/status").get_json()["pass_under_way"] is True
        assert "not ended" in refused(client.post("/api/v1/discover"), 409)

    def test_it_may_be_limited_to_namespaces_and_types(self, client: FlaskClient) -> None:
        wish = {"namespaces": ["shop"], "types": ["prometheus"]}
        assert client.post("/api/v1/discover", json=wish).status_code == 202

    @pytest.mark.parametrize(
        ("body", "named"),
        [
            ({"namespaces": ["A"]}, "namespaces[0]"),
            ({"types": [1]}, "types[0]"),
            ({"namespaces": "shop"}, "namespaces"),
            ({"namespace": "shop"}, "namespace"),
        ],
    )
    def test_a_wrong_body_is_refused_naming_the_field(
        self, client: FlaskClient, body: dict[str, Any], named: str
    ) -> None:
        assert refused(client.post("/api/v1/discover", json=body), 400).startswith(named + ":")

    @pytest.mark.parametrize("body", ["[]", "1", "{", "[" * 100_000, '{"types": ["\ud800"]}'])
    def test_what_is_no_object_is_refused(self, client: FlaskClient, body: str) -> None:
        headers = {"Content-Type": "application/json"}
        answer = client.post("/api/v1/discover", data=body.encode("utf-8", "surrogatepass"), headers=headers)
        assert answer.status_code in {400, 413}
        refused(answer, answer.status_code)

    def test_another_content_type_is_refused(self, client: FlaskClient) -> None:
        detail = refused(client.post("/api/v1/discover", data="{}", headers=YAML), 415)
        assert "application/json" in detail

    def test_a_large_body_is_refused(self, client: FlaskClient) -> None:
        body = " " * (MAX_JSON + 1)
        headers = {"Content-Type": "application/json"}
        assert str(MAX_JSON) in refused(client.post("/api/v1/discover", data=body, headers=headers), 413)


class TestGenerate:
    def test_manifests_in_toolset_out(self, client: FlaskClient) -> None:
        made = client.post("/api/v1/toolsets/generate", data=MANIFEST, headers=YAML).get_json()
        assert "prometheus/metrics" in yaml.safe_load(made["toolset"])["toolsets"]
        assert [(one["name"], one["status"]) for one in made["services"]] == [("prometheus", "unproven")]
        assert made["problems"] == []

    def test_what_is_broken_is_told_and_costs_itself_only(self, client: FlaskClient) -> None:
        body = MANIFEST + "---\nkind: Service\nmetadata: {name: A_B}\n"
        made = client.post("/api/v1/toolsets/generate", data=body, headers=YAML).get_json()
        assert len(made["services"]) == 1
        assert "metadata.name" in made["problems"][0]

    @pytest.mark.parametrize("body", ["", "a: &x [*x]", "{", "\t", "- 1", "a: " + "[" * 10_000])
    def test_nonsense_makes_nothing_and_breaks_nothing(self, client: FlaskClient, body: str) -> None:
        answer = client.post("/api/v1/toolsets/generate", data=body, headers=YAML)
        assert answer.status_code == 200
        assert answer.get_json()["services"] == []

    @pytest.mark.parametrize("path", ["generate", "validate"])
    def test_bodies_have_a_limit_a_type_and_an_encoding(self, client: FlaskClient, path: str) -> None:
        url = f"/api/v1/toolsets/{path}"
        assert str(MAX_TEXT) in refused(client.post(url, data="#" * (MAX_TEXT + 1), headers=YAML), 413)
        assert "application/yaml" in refused(client.post(url, data="a"), 415)
        assert "UTF-8" in refused(client.post(url, data=b"\xff", headers=YAML), 400)


class TestValidate:
    def test_everything_wrong_is_told_with_its_line(self, client: FlaskClient) -> None:
        body = "service_discovery:\n  namespaces: 7\n  nonsense: 1\n"
        told = client.post("/api/v1/toolsets/validate", data=body, headers=YAML).get_json()
        assert (told["kind"], told["valid"]) == ("config", False)
        assert [(one["line"], one["path"]) for one in told["problems"]] == [
            (2, "service_discovery.namespaces"),
            (3, "service_discovery.nonsense"),
        ]

    def test_a_valid_one_is_valid(self, client: FlaskClient) -> None:
        body = "service_discovery: {namespaces: [shop]}\n"
        told = client.post("/api/v1/toolsets/validate?kind=config", data=body, headers=YAML).get_json()
        assert told == {"kind": "config", "valid": True, "problems": []}


class TestAnswers:
    READS = ("status", "toolsets", "toolsets/elasticsearch/data", "services", "custom_toolset.yaml")

    @pytest.mark.parametrize("path", READS)
    def test_what_did_not_change_is_not_sent_again(self, client: FlaskClient, path: str) -> None:
        first = client.get(f"/api/v1/{path}")
        again = client.get(f"/api/v1/{path}", headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
        assert client.get(f"/api/v1/{path}", headers={"If-None-Match": '"x"'}).data == first.data

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/api/v1/nothing", 404),
            ("GET", "/nothing", 404),
            ("GET", "/static/../setup.cfg", 404),
            ("GET", "/api/v1/discover", 405),
            ("DELETE", "/api/v1/services", 405),
            ("OPTIONS", "/api/v1/services", 405),
            ("TRACE", "/health", 405),
        ],
    )
    def test_every_error_is_problem_details(
        self, client: FlaskClient, method: str, path: str, status: int
    ) -> None:
        refused(client.open(path, method=method), status)

    def test_a_bug_is_told_to_the_log_and_to_nobody_else(
        self, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(_: object) -> None:
            raise RuntimeError("the inner workings")

        monkeypatch.setattr(Controller, "watches", broken)
        assert "inner" not in refused(client.get("/api/v1/status"), 500)
        assert "the inner workings" in caplog.text

    @pytest.mark.parametrize("path", ["/", "/static/page.js", "/api/v1/status", "/nothing", "/health"])
    def test_nothing_within_a_page_or_from_elsewhere_may_run(self, client: FlaskClient, path: str) -> None:
        with client.get(path) as answer:
            headers = answer.headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none';")
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"

    def test_no_label_of_the_metrics_is_for_who_asks_to_choose(
        self, client: FlaskClient, metrics: Metrics
    ) -> None:
        client.get("/api/v1/services/shop/orders-search-es-http")
        client.get("/made/up")
        labels = str([sample.labels for family in metrics.registry.collect() for sample in family.samples])
        assert "'service'" in labels
        assert "orders-search" not in labels
        assert "made" not in labels


class TestOpenWithoutToken:
    """On loopback, outside a cluster: no token is asked for, so a browser must not be used by other sites."""

    def test_another_name_for_this_machine_is_refused(self, client: FlaskClient) -> None:
        detail = refused(client.get("/api/v1/status", headers={"Host": "evil.example:8080"}), 403)
        assert "evil.example" in detail

    @pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"])
    def test_its_own_names_are_not(self, client: FlaskClient, host: str) -> None:
        assert client.get("/api/v1/status", headers={"Host": host}).status_code == 200

    def test_another_sites_page_is_refused(self, client: FlaskClient) -> None:
        headers = {"Host": "127.0.0.1:8080", "Origin": "https://evil.example"}
        assert "evil.example" in refused(client.post("/api/v1/discover", headers=headers), 403)

    def test_probes_and_the_page_are_open_to_any_name(self, client: FlaskClient) -> None:
        for path in ("/", "/static/page.js", "/health"):
            with client.get(path, headers={"Host": "evil.example"}) as answer:
                assert answer.status_code == 200


class TestChanges:
    """What is shown follows what the controller knows, and a pass that was asked for is one."""

    @pytest.fixture
    def changing(self, tmp_path: Path) -> Iterator[tuple[Controller, FlaskClient, Path]]:
        manifests = tmp_path / "cluster"
        manifests.mkdir()
        (manifests / "one.yaml").write_text(MANIFEST)
        metrics = Metrics(CollectorRegistry())
        controller = Controller(assembly.of_manifests(str(manifests), Wanted()), metrics)
        thread = threading.Thread(target=controller.run)
        thread.start()
        client = create_app(controller, metrics, Everybody()).test_client()
        until(lambda: client.get("/api/v1/services").get_json()["total"] == 1, "it has looked")
        yield controller, client, manifests
        controller.stop()
        thread.join(30)

    def test_toolsets_and_file_follow_the_services(
        self, changing: tuple[Controller, FlaskClient, Path]
    ) -> None:
        _, client, manifests = changing
        assert "prometheus/metrics" in client.get("/api/v1/custom_toolset.yaml").text
        before = client.get("/api/v1/status").headers["ETag"]
        (manifests / "one.yaml").unlink()
        (manifests / "none.yaml").write_text("")
        until(lambda: client.get("/api/v1/services").get_json()["total"] == 0, "it is gone")
        assert "prometheus/metrics" not in client.get("/api/v1/custom_toolset.yaml").text
        assert "prometheus/metrics" not in client.get("/api/v1/toolsets").text
        assert client.get("/api/v1/status").headers["ETag"] != before

    @pytest.mark.parametrize("wish", [{}, {"namespaces": ["shop"]}, {"types": ["loki"]}])
    def test_a_pass_that_is_asked_for_is_made_and_ends(
        self, changing: tuple[Controller, FlaskClient, Path], wish: dict[str, Any]
    ) -> None:
        _, client, _ = changing
        passes = len(client.get("/api/v1/status").get_json()["passes"])
        assert client.post("/api/v1/discover", json=wish).status_code == 202

        def status() -> dict[str, Any]:
            told: dict[str, Any] = client.get("/api/v1/status").get_json()
            return told

        until(lambda: len(status()["passes"]) > passes, "a pass was made")
        until(lambda: not status()["pass_under_way"], "it has ended")
        assert client.post("/api/v1/discover").status_code == 202, "and another may be asked for"

    def test_explaining_does_not_keep_a_change_from_being_seen(
        self, changing: tuple[Controller, FlaskClient, Path]
    ) -> None:
        """To explain, the manifests are read as well: what was read is not what was published."""
        _, client, manifests = changing
        (manifests / "two.yaml").write_text(MANIFEST.replace("shop", "lab"))
        assert client.get("/api/v1/services/lab/prometheus").status_code == 200
        until(lambda: client.get("/api/v1/services").get_json()["total"] == 2, "it is listed")
