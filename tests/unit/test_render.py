"""What HolmesGPT and people are told: same input, same bytes, and nothing that could be misread."""

import itertools
import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml

from tests.unit.builders import asking, backend, catalogue, custom_service, discovered, service
from toolset import render
from toolset.catalogue import bundled
from toolset.classify import Endpoint
from toolset.discovered import USABLE, Discovered, Status
from toolset.documents import services_problems, toolset_file_problems, toolset_json_problems
from toolset.render import Settings
from toolset.service import Service
from toolset.yaml_source import parse

SETTINGS = Settings()
TRUSTED = Settings(trusted_namespaces=frozenset({"shop"}))

LAMP = backend("lamp")
BELL = backend(
    "bell",
    toolsets=[
        {
            "name": "bell/$id",
            "type": "http",
            "many": "separate",
            "instructions": "GET $url/rings below $path",
            "config": {"verify_ssl": "$verify_ssl", "endpoints": [{"hosts": ["$origin"]}]},
        }
    ],
)
HORN = backend("horn", toolsets=[{"name": "horn", "many": "clusters", "config": {"api_url": "$url"}}])
SLOW = backend(
    "slow",
    toolsets=[{"name": "slow/all", "many": "instances", "config": {"api_url": "$url"}, "check_seconds": 7}],
)
BACKENDS = catalogue(LAMP, BELL, HORN, SLOW)


def found(of: Service, status: Status = Status.VERIFIED, **fields: Any) -> Discovered:
    return discovered(of, status, within=BACKENDS, **fields)


def lamp(
    name: str = "lamp", namespace: str = "shop", status: Status = Status.VERIFIED, **fields: Any
) -> Discovered:
    return found(service(name, namespace, **fields), status)


def toolsets(*of: Discovered, settings: Settings = SETTINGS) -> dict[str, Any]:
    document: dict[str, Any] = render.toolset_document(of, settings)["toolsets"]
    return document


def text(*of: Discovered, settings: Settings = SETTINGS) -> str:
    return render.toolset_yaml(render.with_revision(render.toolset_document(of, settings), of))


def revision(*of: Discovered) -> str:
    [name] = re.findall(r"discovery/revision-[0-9a-f]{8}", text(*of))
    return str(name)


def a_cluster() -> list[Discovered]:
    """One of everything: several backends, namespaces, statuses."""
    names = ["lamp", "lamp-b", "bell", "bell-endpoint", "horn", "horn-b", "slow"]
    services = [service(name, namespace) for name in names for namespace in ("shop", "ops", "a")]
    statuses = itertools.cycle(Status)
    return [found(of, next(statuses)) for of in [*services, custom_service("tracker")]]


def values(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    """Every scalar of a YAML text that is no key."""
    if isinstance(node, yaml.ScalarNode):
        yield node
    for inner in node.value if isinstance(node, yaml.CollectionNode) else ():
        yield from values(inner[1] if isinstance(inner, tuple) else inner)


class TestDeterminism:
    @pytest.mark.parametrize("seed", range(10))
    def test_the_same_cluster_gives_the_same_bytes_in_whatever_order_it_was_seen(self, seed: int) -> None:
        ordered = a_cluster()
        shuffled = random.Random(seed).sample(ordered, len(ordered))
        assert text(*shuffled, settings=TRUSTED) == text(*ordered, settings=TRUSTED)
        assert render.toolset_json(shuffled, TRUSTED) == render.toolset_json(ordered, TRUSTED)
        assert render.services_yaml(shuffled, TRUSTED) == render.services_yaml(ordered, TRUSTED)

    def test_every_document_of_it_meets_its_own_schema(self) -> None:
        cluster = a_cluster()
        assert toolset_file_problems(parse(text(*cluster, settings=TRUSTED))) == []
        assert toolset_json_problems(parse(render.toolset_json(cluster, TRUSTED))) == []
        assert services_problems(parse(render.services_yaml(cluster, TRUSTED))) == []

    def test_nothing_discovered_is_a_file_that_holmesgpt_loads(self) -> None:
        assert toolset_file_problems(parse(text())) == []
        assert json.loads(render.toolset_json([], SETTINGS)) == {"tools": []}
        assert parse(render.services_yaml([], SETTINGS)).data == {"services": []}


class TestToolsets:
    def test_one_instance_is_written_flat(self) -> None:
        assert toolsets(lamp()) == {
            "lamp/main": {
                "enabled": True,
                "config": {"api_url": "http://lamp.shop.svc.cluster.local:9090"},
            }
        }

    def test_two_instances_are_written_as_instances_with_telling_names(self) -> None:
        config = toolsets(lamp("lamp"), lamp("lamp", "ops"))["lamp/main"]["config"]
        assert config == {
            "instances": [
                {"name": "ops/lamp", "api_url": "http://lamp.ops.svc.cluster.local:9090"},
                {"name": "shop/lamp", "api_url": "http://lamp.shop.svc.cluster.local:9090"},
            ]
        }

    def test_clusters_are_a_list_even_if_there_is_one(self) -> None:
        [entry] = toolsets(found(service("horn"))).values()
        assert [cluster["name"] for cluster in entry["config"]["clusters"]] == ["shop/horn"]

    def test_what_takes_one_endpoint_only_is_a_toolset_each(self) -> None:
        both = toolsets(found(service("bell")), found(service("bell", "ops")))
        assert list(both) == ["bell/ops__bell", "bell/shop__bell"]
        assert both["bell/shop__bell"] == {
            "enabled": True,
            "type": "http",
            "description": "Bell shop/bell - what a bell tells",
            "config": {
                "endpoints": [{"hosts": ["http://bell.shop.svc.cluster.local:9090"]}],
            },
            "llm_instructions": "GET http://bell.shop.svc.cluster.local:9090/rings below ",
        }

    def test_scheme_port_path_and_certificate_of_the_endpoint_are_written(self) -> None:
        there = Endpoint("https", 8443, "/b")
        [entry] = toolsets(found(service("bell"), endpoint=there, verify_ssl=False)).values()
        host = "https://bell.shop.svc.cluster.local:8443"
        assert entry["llm_instructions"] == f"GET {host}/b/rings below /b"
        assert entry["config"] == {"verify_ssl": False, "endpoints": [{"hosts": [host]}]}

    def test_the_clusters_own_domain_is_used(self) -> None:
        [entry] = toolsets(lamp(), settings=Settings(cluster_domain="example.org")).values()
        assert entry["config"]["api_url"] == "http://lamp.shop.svc.example.org:9090"

    def test_a_backend_may_become_several_toolsets(self) -> None:
        rules = [{"name": f"lamp/{part}", "many": "instances", "config": {"u": "$url"}} for part in "ab"]
        both = catalogue(backend("lamp", toolsets=rules))
        seen = discovered(service("lamp"), within=both)
        assert list(toolsets(seen)) == ["lamp/a", "lamp/b"]
        assert render.toolset_names(seen, SETTINGS) == ["lamp/a", "lamp/b"]

    @pytest.mark.parametrize("status", sorted(Status))
    def test_only_usable_statuses_reach_holmesgpt(self, status: Status) -> None:
        assert bool(toolsets(lamp(status=status))) == (status in USABLE)
        assert bool(render.toolset_names(lamp(status=status), SETTINGS)) == (status in USABLE)

    def test_needing_credentials_is_not_usable(self) -> None:
        assert Status.NEEDS_CREDENTIALS not in USABLE

    def test_what_is_unproven_is_marked_in_the_description_by_its_name(self) -> None:
        entry = toolsets(lamp(status=Status.UNPROVEN), lamp("lamp", "ops"))["lamp/main"]
        assert entry["description"] == "Lamp: what a lamp tells (unproven: shop/lamp)"
        [separate] = toolsets(found(service("bell"), Status.UNPROVEN)).values()
        assert separate["description"] == "Bell shop/bell - what a bell tells (unproven: shop/bell)"

    def test_instances_of_trusted_namespaces_come_first(self) -> None:
        seen = [lamp(namespace=namespace) for namespace in ("a", "shop", "z")]
        instances = toolsets(*seen, settings=TRUSTED)["lamp/main"]["config"]["instances"]
        assert [instance["name"] for instance in instances] == ["shop/lamp", "a/lamp", "z/lamp"]

    def test_text_that_could_be_a_template_is_never_written(self) -> None:
        with pytest.raises(ValueError, match="holds a template mark"):
            toolsets(found(service("lamp"), endpoint=Endpoint("http", 1, "/{{ env.TOKEN }}")))


class TestNames:
    def named(self, *wishes: tuple[str, str]) -> list[str]:
        """Instance names of lamps ``(service, wished name)`` in the namespace shop."""
        seen = [lamp(f"lamp-{name}", annotations=asking(name=wish)) for name, wish in wishes]
        return [instance["name"] for instance in toolsets(*seen)["lamp/main"]["config"]["instances"]]

    def test_a_name_by_annotation_stands_behind_the_services_own(self) -> None:
        assert self.named(("a", "Main"), ("b", "")) == ["shop/lamp-a/Main", "shop/lamp-b"]

    def test_whatever_others_are_called_or_ask_for_each_keeps_its_name(self) -> None:
        assert self.named(("a", "lamp-b"), ("b", "")) == ["shop/lamp-a/lamp-b", "shop/lamp-b"]
        assert self.named(("a", "x"), ("b", "x")) == ["shop/lamp-a/x", "shop/lamp-b/x"]

    @pytest.mark.parametrize("namespace", ["n", "a-namespace-of-thirty-characters", "n" * 63])
    @pytest.mark.parametrize("name", ["bell", "bell-" + "x" * 20, "bell-" + "x" * 58])
    def test_no_tool_name_is_longer_than_llm_providers_accept(self, namespace: str, name: str) -> None:
        [toolset] = toolsets(found(service(name, namespace)))
        assert len(toolset + "_request") <= 64
        assert re.fullmatch("[A-Za-z0-9_/-]+", toolset)

    def test_tool_names_of_two_services_never_collide(self) -> None:
        """HolmesGPT makes tool names of toolset names: ``-`` and ``/`` become ``_``."""
        pieces = [
            "bell",
            "a",
            "b",
            "a-b",
            "b-a",
            "a--b",
            "a-bell",
            "bell-a",
            "b-" + "x" * 50,
            "b-" + "x" * 51,
        ]
        services = [
            service(name, namespace, annotations=asking(type=kind, health_path="/x"))
            for kind in ("bell", "a", "a-b", "bell-a", "a--b", "bell-b-a")
            for namespace in pieces
            for name in pieces
        ]
        everywhere = Settings(trusted_namespaces=frozenset(pieces))
        seen: dict[str, set[str]] = {}
        for of in services:
            for toolset in toolsets(found(of), settings=everywhere):
                tool = re.sub("[-/]", "_", toolset)
                seen.setdefault(tool, set()).add(f"{of.key} {of.annotations['kubernaut.io/toolset-type']}")
        # One Service has one type at a time: only different Services must differ.
        assert [sorted(keys) for keys in seen.values() if len({key.split()[0] for key in keys}) > 1] == []

    def test_a_long_name_keeps_its_beginning_and_ends_in_what_only_this_service_has(self) -> None:
        [one] = toolsets(found(service("bell-" + "x" * 50, "monitoring")))
        [other] = toolsets(found(service("bell-" + "x" * 51, "monitoring")))
        assert one.startswith("bell/monitoring__bell-xxx")
        assert one != other


class TestScalars:
    @pytest.mark.parametrize(
        "value",
        [
            "1",
            "1.5",
            "true",
            "no",
            "null",
            "~",
            "2026-11-24",
            "0x1f",
            "1:30",
            "=",
            "",
            "- a",
            "a: b",
            "# c",
            "'",
            '"',
        ],
    )
    def test_every_text_is_quoted_so_that_no_reader_takes_it_for_something_else(self, value: str) -> None:
        written = render.toolset_yaml({"toolsets": {"t": {"description": value}}})
        assert yaml.safe_load(written)["toolsets"]["t"]["description"] == value
        assert re.search(r'description: ".*"$', written, re.MULTILINE)

    def test_only_booleans_and_numbers_stand_unquoted(self) -> None:
        unquoted = {
            value.tag.rpartition(":")[2]
            for value in values(yaml.compose(text(*a_cluster(), settings=TRUSTED)))
            if value.style != '"'
        }
        assert unquoted == {"bool", "int"}

    def test_long_text_stays_on_one_line(self) -> None:
        written = render.toolset_yaml({"toolsets": {"t": {"description": "word " * 1000}}})
        assert sum("word" in line for line in written.splitlines()) == 1

    def test_neither_anchor_nor_alias_is_written(self) -> None:
        shared = {"list": [1]}
        written = render.toolset_yaml({"toolsets": {"a": {"config": shared}, "b": {"config": shared}}})
        assert parse(written).data["toolsets"]["b"]["config"] == shared

    def test_no_key_holds_a_dot_whatever_a_service_is_called_or_labelled(self) -> None:
        cluster = [*a_cluster(), lamp("lamp-x", labels={"a.b/c.d": "e.f"}, annotations=asking(name="v1.2"))]
        keys = re.findall(r'^\s*(?:- )?"?([^"\s]+)"?:(?: |$)', text(*cluster, settings=TRUSTED), re.MULTILINE)
        assert "lamp/main" in keys
        assert [key for key in keys if "." in key] == []

    def test_the_file_says_who_writes_it_and_where_to_change_it(self) -> None:
        assert text().startswith(
            "# Written by kubernaut-dynamic-toolsets; edits are overwritten.\n# To change "
        )


class TestTheRunbookCounts:
    def everything(self) -> list[Discovered]:
        """Services whose very names try to look like lines of ``services.yaml``."""
        tries = [
            found(service("bell-endpoint", "endpoint")),
            found(service("lamp-endpoint", annotations=asking(name="endpoint")), Status.UNPROVEN),
            found(service("lamp", "endpoint"), Status.UNPROVEN),
            found(custom_service("endpoint", "endpoint", kind="endpoint"), Status.UNPROVEN),
        ]
        return [*a_cluster(), *tries]

    def test_one_endpoint_line_a_service(self) -> None:
        cluster = self.everything()
        lines = render.services_yaml(cluster, SETTINGS).splitlines()
        assert sum("endpoint:" in line for line in lines) == len(cluster)

    def test_one_tool_a_service(self) -> None:
        cluster = self.everything()
        assert len(json.loads(render.toolset_json(cluster, SETTINGS))["tools"]) == len(cluster)

    def test_no_other_key_holds_the_words(self) -> None:
        trusted = Settings(trusted_namespaces=frozenset({"shop", "endpoint"}))
        cluster = self.everything()
        assert "endpoint:" not in text(*cluster, settings=trusted)
        assert "endpoint:" not in render.toolset_json(cluster, trusted)

    def test_not_even_if_an_override_uses_the_word_as_a_key(self) -> None:
        written = render.toolset_yaml(
            {"toolsets": {"t": {"config": {"endpoint": "http://a:1", "l": [{"endpoint": 1}]}}}}
        )
        assert "endpoint:" not in written
        assert yaml.safe_load(written)["toolsets"]["t"]["config"] == {
            "endpoint": "http://a:1",
            "l": [{"endpoint": 1}],
        }

    def test_a_quoted_key_is_the_same_toolset(self) -> None:
        assert "bell/shop__bell-endpoint" in yaml.safe_load(text(found(service("bell-endpoint"))))["toolsets"]


class TestRevision:
    def test_it_is_the_same_while_nothing_changes(self) -> None:
        assert revision(lamp(), lamp("lamp-b")) == revision(lamp("lamp-b"), lamp())

    def test_it_changes_with_an_endpoint(self) -> None:
        moved = replace(lamp(), endpoint=Endpoint("http", 81))
        assert revision(moved) != revision(lamp())

    def test_it_changes_with_an_instance_that_comes(self) -> None:
        assert len({revision(), revision(lamp()), revision(lamp(), lamp("lamp-b"))}) == 3

    def test_it_changes_with_health_though_the_content_is_the_same(self) -> None:
        well, ill = lamp(), lamp(status=Status.UNHEALTHY)
        assert toolsets(well) == toolsets(ill)
        assert revision(well) != revision(ill)

    def test_it_does_not_change_with_what_holmesgpt_never_sees(self) -> None:
        told = replace(lamp(), evidence=("other",))
        assert revision(told) == revision(lamp())

    def test_it_is_a_toolset_of_a_description_alone(self) -> None:
        document = render.with_revision({}, ())
        [(name, entry)] = document["toolsets"].items()
        assert name.startswith("discovery/revision-")
        assert list(entry) == ["description"]

    def test_what_people_wrote_beside_the_toolsets_is_kept_but_nothing_empty(self) -> None:
        document = render.with_revision({"toolsets": None, "mcp_servers": {"m": {}}, "x": {}}, ())
        assert list(document) == ["toolsets", "mcp_servers"]


class TestBudget:
    def instances(self, *statuses: Status) -> list[str]:
        seen = [found(service(f"slow-{n}"), status) for n, status in enumerate(statuses)]
        config = toolsets(*seen).get("slow/all", {}).get("config", {})
        return [instance["name"] for instance in config.get("instances", [])]

    def test_healthy_instances_are_all_written(self) -> None:
        assert len(self.instances(*[Status.VERIFIED] * 50)) == 50

    def test_failing_ones_are_written_as_long_as_holmesgpt_has_time_to_find_them_failing(self) -> None:
        kept = self.instances(*[Status.UNHEALTHY] * 5)
        assert kept == ["shop/slow-0", "shop/slow-1"]
        assert len(kept) * 7 < render.CHECK_BUDGET_SECONDS

    def test_failing_ones_cost_no_healthy_one(self) -> None:
        kept = self.instances(*[Status.UNHEALTHY] * 4, Status.VERIFIED, Status.VERIFIED)
        assert kept == ["shop/slow-0", "shop/slow-1", "shop/slow-4", "shop/slow-5"]

    def test_each_toolset_has_a_budget_of_its_own(self) -> None:
        failing = [found(service(f"bell-{n}"), Status.UNHEALTHY) for n in range(5)]
        assert len(toolsets(*failing)) == 5


class TestCustom:
    def test_a_type_of_ones_own_enters_from_a_trusted_namespace_only(self) -> None:
        seen = found(custom_service("tracker"))
        assert toolsets(seen) == {}
        assert render.toolset_names(seen, SETTINGS) == []
        assert list(toolsets(seen, settings=TRUSTED)) == render.toolset_names(seen, TRUSTED)

    def test_it_is_catalogued_from_anywhere(self) -> None:
        [tool] = json.loads(render.toolset_json([found(custom_service("tracker"))], SETTINGS))["tools"]
        assert (tool["type"], tool["toolsets"]) == ("tracker", [])

    def test_it_is_read_only_and_reaches_its_own_service_only(self) -> None:
        [entry] = toolsets(found(custom_service("tracker")), settings=TRUSTED).values()
        assert entry["type"] == "http"
        assert entry["config"]["endpoints"] == [
            {
                "hosts": ["http://tracker.shop.svc.cluster.local:8080"],
                "methods": ["GET"],
                "health_check_url": "http://tracker.shop.svc.cluster.local:8080/healthz",
            }
        ]

    def test_no_health_path_is_expanded_as_if_it_were_ours(self) -> None:
        seen = found(custom_service("tracker", health_path="/$url/$$"))
        [entry] = toolsets(seen, settings=TRUSTED).values()
        assert entry["config"]["endpoints"][0]["health_check_url"].endswith(":8080/$url/$$")


class TestBundled:
    @pytest.mark.parametrize("name", sorted(set(bundled()) - {"custom"}))
    @pytest.mark.parametrize("count", [1, 2])
    def test_every_bundled_backend_becomes_a_file_that_holmesgpt_loads(self, name: str, count: int) -> None:
        entry = bundled()[name]
        ports = [next(ref for ref in entry.endpoint.ports if isinstance(ref, int))]
        word = entry.recognise.words[0]
        seen = [discovered(service(word, f"n{n}", ports=ports)) for n in range(count)]
        assert toolset_file_problems(parse(text(*seen))) == []
        assert not re.search(r"\$[a-z]", text(*seen)), "a placeholder was left"


def test_toolset_json_tells_all_that_is_needed_to_take_it_up_again() -> None:
    seen = found(
        service("lamp", uid="1-2"), Status.UNHEALTHY, verify_ssl=False, endpoint=Endpoint("https", 1, "/x")
    )
    assert json.loads(render.toolset_json([seen], SETTINGS))["tools"] == [
        {
            "name": "lamp",
            "namespace": "shop",
            "uid": "1-2",
            "type": "lamp",
            "description": "Lamp: what a lamp tells",
            "url": "https://lamp.shop.svc.cluster.local:1/x",
            "status": "unhealthy",
            "verify_ssl": False,
            "toolsets": ["lamp/main"],
        }
    ]


def test_services_yaml_is_for_people() -> None:
    assert render.services_yaml([lamp()], SETTINGS) == (
        "services:\n"
        '  - name: "lamp"\n'
        '    namespace: "shop"\n'
        '    type: "lamp"\n'
        '    endpoint: "http://lamp.shop.svc.cluster.local:9090"\n'
        '    status: "verified"\n'
    )
