"""What is written cannot be misread: scalars, the figures that the runbook counts, and the revision."""

import json
import re
from dataclasses import replace

import pytest
import yaml

from tests.unit.builders import asking, custom_service, service
from tests.unit.rendering import SETTINGS, TRUSTED, a_cluster, found, lamp, revision, text, toolsets, values
from toolset import render
from toolset.classify import Endpoint
from toolset.discovered import Discovered, Status
from toolset.render import Settings
from toolset.yaml_source import parse


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
