"""What a Service may be, from the API server's word alone: the engine, on small catalogues made by hand."""

from typing import Any

import pytest

from tests.unit.builders import asking, backend, candidate, catalogue, custom_service, service
from toolset.backend import Backend
from toolset.classify import Endpoint, classify
from toolset.endpoints import MAX_ENDPOINTS
from toolset.service import Port, Service

NAME = "app.kubernetes.io/name"


def lamp(**recognise: Any) -> Backend:
    return backend("lamp", recognise={"words": ["lamp"], **recognise})


def types(of: Service, *backends: Backend) -> list[str]:
    return [found.type for found in classify(of, catalogue(*(backends or (lamp(),)))).candidates]


def ruled_out(of: Service, *backends: Backend) -> str:
    classification = classify(of, catalogue(*(backends or (lamp(),))))
    assert classification.candidates == ()
    return classification.ruled_out


def endpoints(of: Service, **rule: Any) -> list[tuple[str, int, str]]:
    found = candidate(of, catalogue(backend("lamp", endpoint=rule)))
    return [(endpoint.scheme, endpoint.port, endpoint.path) for endpoint in found.endpoints]


class TestRecognising:
    @pytest.mark.parametrize("name", ["lamp", "my-lamp", "lamp-server", "a-lamp-b"])
    def test_a_word_in_the_name_makes_a_candidate(self, name: str) -> None:
        assert types(service(name)) == ["lamp"]

    @pytest.mark.parametrize("name", ["lamps", "clamp", "lampshade", "headlamps-x"])
    def test_a_part_of_a_word_does_not(self, name: str) -> None:
        assert classify(service(name), catalogue(lamp())).candidates == ()

    def test_a_service_that_nothing_speaks_of_is_not_even_mentioned(self) -> None:
        assert ruled_out(service("checkout")) == ""

    @pytest.mark.parametrize(
        "label", [NAME, "app.kubernetes.io/component", "app", "k8s-app", "component", "name"]
    )
    @pytest.mark.parametrize("value", ["lamp", "Lamp", "my-lamp", "team/lamp_a"])
    def test_a_label_that_names_the_workload_makes_a_candidate(self, label: str, value: str) -> None:
        assert types(service("x", labels={label: value})) == ["lamp"]

    def test_a_label_that_names_something_else_does_not(self) -> None:
        assert types(service("x", labels={"app.kubernetes.io/part-of": "lamp", "team": "lamp"})) == []

    def test_a_selector_counts_like_a_label(self) -> None:
        assert types(service("x", selector={NAME: "lamp"})) == ["lamp"]

    def test_a_name_counts_for_nothing_where_the_selector_names_another_workload(self) -> None:
        assert types(service("lamp-coredns", selector={NAME: "coredns"})) == []

    def test_a_mark_of_the_product_makes_a_candidate_whatever_the_name(self) -> None:
        marked = lamp(labels=[{"lamp.io/cluster": "*", "lamp.io/role": "main"}])
        assert types(service("x", labels={"lamp.io/cluster": "a", "lamp.io/role": "main"}), marked) == [
            "lamp"
        ]
        assert types(service("x", selector={"lamp.io/cluster": "a", "lamp.io/role": "main"}), marked) == [
            "lamp"
        ]
        assert types(service("x", labels={"lamp.io/cluster": "a"}), marked) == []
        assert types(service("x", labels={"lamp.io/cluster": "a", "lamp.io/role": "spare"}), marked) == []

    def test_a_port_signature_makes_a_candidate_when_every_port_of_it_is_there(self) -> None:
        signed = lamp(port_signature=["glow", 7])
        assert types(service("x", ports=["glow:1", 7]), signed) == ["lamp"]
        assert types(service("x", ports=["glow:1"]), signed) == []

    def test_the_evidence_says_what_spoke_for_it(self) -> None:
        marked = lamp(labels=[{"lamp.io/cluster": "*"}])
        labels = {"lamp.io/cluster": "a", NAME: "lamp"}
        found = candidate(service("my-lamp", labels=labels), catalogue(marked))
        assert found.evidence == (
            "label lamp.io/cluster=*",
            "labels lamp",
            "port web:9090",
        )

    def test_no_label_of_a_manifest_speaks_to_the_terminal(self) -> None:
        found = candidate(service("x", labels={"app": "lamp/\x1b[2J\n"}), catalogue(lamp()))
        assert found.evidence[0] == "labels lamp-2j"

    def test_more_evidence_scores_higher(self) -> None:
        weak = candidate(service("my-lamp", ports=[1]), catalogue(lamp()))
        strong = candidate(service("my-lamp", labels={NAME: "lamp"}), catalogue(lamp()))
        assert strong.score > weak.score

    def test_of_several_candidates_the_likeliest_is_first(self) -> None:
        both = service("bell", labels={"lamp.io/cluster": "a"})
        assert types(both, backend("bell"), lamp(labels=[{"lamp.io/cluster": "*"}])) == ["lamp", "bell"]

    def test_a_name_is_a_compound_whose_last_product_says_what_it_is(self) -> None:
        assert types(service("lamp-bell"), lamp(), backend("bell")) == ["bell"]
        assert types(service("bell-lamp"), lamp(), backend("bell")) == ["lamp"]

    def test_a_type_that_the_operator_switched_off_does_not_come_back_by_annotation(self) -> None:
        wishes = asking("enabled", type="prometheus", health_path="/")
        told = ruled_out(service("x", annotations=wishes), lamp())
        assert told == "type prometheus is switched off by service_patterns"


class TestRulingOut:
    def test_a_word_of_the_backends_own_rules_out_with_the_reason(self) -> None:
        assert ruled_out(service("lamp-shade"), lamp(not_words=["shade"])) == (
            "not Lamp: name lamp-shade holds shade"
        )

    @pytest.mark.parametrize("where", ["labels", "selector"])
    def test_the_word_is_sought_in_labels_and_selector_too(self, where: str) -> None:
        marked: dict[str, Any] = {where: {NAME: "lamp-shade"}}
        told = ruled_out(service("lamp", **marked), lamp(not_words=["shade"]))
        assert told == f"not Lamp: {where} lamp-shade holds shade"

    def test_a_label_rules_out(self) -> None:
        told = ruled_out(service("lamp", labels={"role": "spare"}), lamp(not_labels=[{"role": "spare"}]))
        assert told == "not Lamp: label role=spare"

    @pytest.mark.parametrize(
        "word", ["exporter", "operator", "memberlist", "webhook", "node-exporter", "gossip-ring", "backup"]
    )
    def test_what_stands_beside_a_product_is_ruled_out_with_the_reason(self, word: str) -> None:
        told = ruled_out(service(f"lamp-{word}"))
        assert told.startswith(f"not Lamp: name lamp-{word} holds ")
        assert ": it " in told

    def test_what_is_ruled_out_for_one_backend_may_be_another(self) -> None:
        shade = backend("shade")
        assert types(service("lamp-shade"), lamp(not_words=["shade"]), shade) == ["shade"]

    def test_all_reasons_are_told(self) -> None:
        marked = lamp(labels=[{"lamp.io/cluster": "*"}], not_labels=[{"role": "spare"}])
        both = service("bell-exporter", labels={"lamp.io/cluster": "a", "role": "spare"})
        assert ruled_out(both, marked, backend("bell")) == (
            "not Bell: name bell-exporter holds exporter: it exports metrics about the product; "
            "not Lamp: label role=spare"
        )

    def test_an_external_name_is_left_out_with_the_reason(self) -> None:
        told = ruled_out(service("lamp", type="ExternalName", cluster_ip=""))
        assert told == "looks like Lamp, but is an ExternalName: it points outside of the cluster"

    def test_a_service_without_ports_is_left_out_with_the_reason(self) -> None:
        assert ruled_out(service("lamp", ports=[])) == "looks like Lamp, but has no TCP port"

    def test_a_service_whose_every_port_is_something_else_is_left_out_with_the_reason(self) -> None:
        grpc = backend("lamp", endpoint={"not_ports": ["grpc", 7]})
        told = ruled_out(service("lamp", ports=["grpc:1", 7]), grpc)
        assert told == "looks like Lamp, but none of its ports can be its API"


class TestAnnotations:
    def test_disabled_leaves_the_service_out(self) -> None:
        assert ruled_out(service("lamp", annotations=asking("disabled", type="lamp"))) == (
            "disabled by its annotation kubernaut.io/toolset"
        )

    def test_enabled_alone_changes_nothing_for_what_is_recognised(self) -> None:
        assert types(service("lamp", annotations=asking("enabled"))) == ["lamp"]

    def test_enabled_alone_asks_for_a_type_where_nothing_is_recognised(self) -> None:
        assert ruled_out(service("x", annotations=asking("enabled"))) == (
            "annotated kubernaut.io/toolset, but its type is not recognised: add kubernaut.io/toolset-type"
        )

    def test_a_refused_annotation_leaves_the_service_out_naming_it(self) -> None:
        told = ruled_out(service("lamp", annotations=asking(health_path="no path")))
        assert told.startswith("annotation kubernaut.io/toolset-health-path='no path' is refused")

    def test_a_type_of_the_catalogue_needs_no_other_mark(self) -> None:
        found = candidate(service("x", annotations=asking(type="lamp")), catalogue(lamp()))
        assert (found.type, found.backend.name) == ("lamp", "lamp")
        assert found.evidence[0] == "annotation kubernaut.io/toolset-type=lamp"

    def test_an_owners_word_overrides_what_would_rule_out(self) -> None:
        assert types(service("lamp-exporter", annotations=asking(type="lamp"))) == ["lamp"]

    def test_a_type_of_ones_own_is_the_custom_backend_under_its_name(self) -> None:
        found = candidate(custom_service("tracker"), catalogue(lamp()))
        assert (found.type, found.backend.name) == ("tracker", "custom")
        assert found.wishes.health_path == "/healthz"

    def test_a_type_of_ones_own_must_say_how_it_is_proven(self) -> None:
        told = ruled_out(service("x", annotations=asking(type="tracker")))
        assert "type tracker is not in the catalogue" in told
        assert "kubernaut.io/toolset-health-path" in told

    def test_a_type_of_ones_own_on_a_service_without_a_selector_is_refused(self) -> None:
        assert ruled_out(custom_service("tracker", selector={})) == (
            "type tracker by annotation, on a Service without a selector"
        )

    def test_the_name_of_the_custom_entry_is_a_type_of_ones_own_like_any_other(self) -> None:
        assert candidate(custom_service("x", kind="custom"), catalogue(lamp())).type == "custom"

    def test_an_annotated_external_name_stays_left_out(self) -> None:
        told = ruled_out(custom_service("tracker", type="ExternalName"))
        assert "is an ExternalName" in told


class TestEndpoints:
    def test_a_url_spells_out_the_port(self) -> None:
        assert Endpoint("http", 80, "/x").url("a.b") == "http://a.b:80/x"

    def test_ports_that_the_file_names_come_first_in_its_order(self) -> None:
        found = endpoints(service("lamp", ports=["a:1", "web:2", "b:3"]), ports=[3, "web"])
        assert [port for _, port, _ in found[:3]] == [3, 2, 1]

    def test_ports_that_the_file_excludes_are_never_tried(self) -> None:
        found = endpoints(
            service("lamp", ports=["grpc:1", "web:2", 3]), ports=["grpc"], not_ports=["grpc", 3]
        )
        assert {port for _, port, _ in found} == {2}

    @pytest.mark.parametrize(
        ("port", "scheme"),
        [
            ("web:9090", "http"),
            ("https:9090", "https"),
            ("https-web:80", "https"),
            ("tls:1", "https"),
            ("x:443", "https"),
            ("x:8443", "https"),
            ("http:443", "http"),
            ("x:80:https", "https"),
            ("https:80:http", "http"),
            ("x:1:kubernetes.io/HTTPS", "https"),
            (443, "https"),
            (80, "http"),
        ],
    )
    def test_the_likelier_scheme_is_tried_first_and_the_other_after_it(self, port: str, scheme: str) -> None:
        [first, second] = [found for found, _, _ in endpoints(service("lamp", ports=[port]))]
        assert first == scheme
        assert {first, second} == {"http", "https"}

    def test_every_ports_likelier_scheme_comes_before_any_second_choice(self) -> None:
        found = endpoints(service("lamp", ports=["web:1", "https:2"]), ports=["web", "https"])
        assert found == [("http", 1, ""), ("https", 2, ""), ("https", 1, ""), ("http", 2, "")]

    def test_paths_are_tried_in_the_order_of_the_file(self) -> None:
        found = endpoints(service("lamp", ports=[1]), paths=["", "/lamp", "/l"])
        assert [path for _, _, path in found[:3]] == ["", "/lamp", "/l"]

    def test_an_annotated_url_is_the_only_one(self) -> None:
        asked = service("lamp", ports=["web:1", "b:2"], annotations=asking(endpoint="https://lamp:2/x/"))
        assert endpoints(asked, paths=["", "/lamp"]) == [("https", 2, "/x")]

    def test_an_annotated_path_replaces_the_files_and_leaves_the_ports(self) -> None:
        asked = service("lamp", ports=["web:1", "b:2"], annotations=asking(endpoint="/x"))
        found = endpoints(asked, ports=["web"], paths=["", "/lamp"])
        assert found == [("http", 1, "/x"), ("http", 2, "/x"), ("https", 1, "/x"), ("https", 2, "/x")]

    def test_an_owner_may_name_a_port_that_the_file_excludes(self) -> None:
        asked = service("lamp", ports=["grpc:1", 2], annotations=asking(endpoint="http://lamp:1"))
        assert endpoints(asked, not_ports=["grpc"]) == [("http", 1, "")]

    def test_of_thousands_of_ports_a_few_are_tried_and_the_rest_is_told(self) -> None:
        obj = {
            "metadata": {"name": "lamp"},
            "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": n} for n in range(1, 4001)]},
        }
        found = candidate(Service.from_object(obj), catalogue(lamp()))
        assert len(found.endpoints) == MAX_ENDPOINTS
        assert found.evidence[-1] == "3900 further ports were not looked at"

    def test_the_named_port_is_tried_first_among_many(self) -> None:
        ports = [*range(1, 60), "web:9090"]
        assert endpoints(service("lamp", ports=ports), ports=["web"])[0] == ("http", 9090, "")

    def test_two_ports_of_one_number_are_tried_once(self) -> None:
        twice = Service("shop", "lamp", ports=(Port(1, "a"), Port(1, "b")))
        assert endpoints(twice) == [("http", 1, ""), ("https", 1, "")]
