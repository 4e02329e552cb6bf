"""What HolmesGPT and people are told: same input, same bytes, the right toolsets under the right names."""

import json
import random
import re

import pytest

from tests.unit.builders import asking, backend, catalogue, custom_service, discovered, service
from tests.unit.rendering import SETTINGS, TRUSTED, a_cluster, found, lamp, text, toolsets
from toolset import render
from toolset.catalogue import bundled
from toolset.classify import Endpoint
from toolset.discovered import USABLE, Status
from toolset.documents import services_problems, toolset_file_problems, toolset_json_problems
from toolset.render import Settings
from toolset.yaml_source import parse


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
        assert render.toolset_names([seen], SETTINGS) == {"shop/lamp": ["lamp/a", "lamp/b"]}

    @pytest.mark.parametrize("status", sorted(Status))
    def test_only_usable_statuses_reach_holmesgpt(self, status: Status) -> None:
        assert bool(toolsets(lamp(status=status))) == (status in USABLE)
        assert bool(render.toolset_names([lamp(status=status)], SETTINGS)) == (status in USABLE)

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
        assert render.toolset_names([seen], SETTINGS) == {}
        assert {seen.service.key: list(toolsets(seen, settings=TRUSTED))} == render.toolset_names(
            [seen], TRUSTED
        )

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


class TestOldHolmesGPT:
    """Releases before 0.32 take no ``instances:``."""

    OLD = Settings(holmesgpt=(0, 31, 1))

    def test_it_gets_one_instance_flat(self) -> None:
        entry = toolsets(lamp("lamp-b"), lamp("lamp-a"), settings=self.OLD)["lamp/main"]
        assert entry["config"]["api_url"] == "http://lamp-a.shop.svc.cluster.local:9090"

    def test_that_of_a_trusted_namespace_comes_first(self) -> None:
        settings = Settings(holmesgpt=(0, 31), trusted_namespaces=frozenset({"ops"}))
        entry = toolsets(lamp("lamp-a"), lamp("lamp-z", "ops"), settings=settings)["lamp/main"]
        assert entry["config"]["api_url"] == "http://lamp-z.ops.svc.cluster.local:9090"

    def test_the_listing_says_which_one_it_is(self) -> None:
        found = [lamp("lamp-b"), lamp("lamp-a")]
        assert render.toolset_names(found, self.OLD) == {"shop/lamp-a": ["lamp/main"]}
        tools = json.loads(render.toolset_json(found, self.OLD))["tools"]
        assert [(tool["name"], tool["toolsets"]) for tool in tools] == [
            ("lamp-a", ["lamp/main"]),
            ("lamp-b", []),
        ]

    def test_what_is_one_toolset_each_is_not_limited(self) -> None:
        assert len(toolsets(found(service("bell-1")), found(service("bell-2")), settings=self.OLD)) == 2

    @pytest.mark.parametrize("version", [(), (0, 32), (0, 45, 0), (1, 0)])
    def test_current_ones_get_all(self, version: tuple[int, ...]) -> None:
        entry = toolsets(lamp("lamp-b"), lamp("lamp-a"), settings=Settings(holmesgpt=version))["lamp/main"]
        assert len(entry["config"]["instances"]) == 2
