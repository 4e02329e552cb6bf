"""Credentials: bound by the operator to one Service, named by variable, never guessed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from sidecar.config import Config, read_config
from sidecar.discovery import Discoverer
from sidecar.prove import Outcome, Question, Verdict
from sidecar.recognised import recognise
from tests.unit.builders import service
from toolset import render
from toolset.catalogue import bundled, logins
from toolset.credentials import Binding, Credentials
from toolset.discovered import Discovered, Status
from toolset.documents import toolset_file_problems
from toolset.yaml_source import YamlError, parse

LOGINS = logins(bundled())
FIRST = {name: ways[0] for name, ways in LOGINS.items()}
VALUES = {"username": "holmes", "database": "orders"}


@dataclass
class Refusing:
    """A prober to whom everybody says that a login is needed."""

    verify_ssl: bool = True
    asks: bool = True
    asked: list[Question] = field(default_factory=list)

    def ask(self, questions: Sequence[Question]) -> list[Verdict]:
        first = [question.candidates[0] for question in questions]
        return [Verdict(c, c.endpoints[0], Outcome.NEEDS_CREDENTIALS, self.verify_ssl) for c in first]


def bound(kind: str, **more: Any) -> Config:
    needs = FIRST[kind]
    values = {name: VALUES.get(name, "{{ env.SECRET }}") for name in needs}
    return Config(
        credentials=Credentials(("SECRET",), (Binding(f"shop/{name_of(kind)}", kind, values, **more),))
    )


def name_of(kind: str) -> str:
    return bundled()[kind].recognise.words[0]


def found(kind: str, config: Config, *, verify_ssl: bool = True) -> Discovered:
    port = next(ref for ref in bundled()[kind].endpoint.ports if isinstance(ref, int))
    seen = recognise([service(name_of(kind), ports=[port])], bundled(), config, "cluster.local")
    [one] = Discoverer(config).discover(seen, Refusing(verify_ssl), 0).discovered
    return one


def text(one: Discovered) -> str:
    document = render.toolset_document([one], render.Settings())
    return render.toolset_yaml(render.with_revision(document))


@pytest.mark.parametrize("kind", sorted(LOGINS))
def test_without_a_binding_it_is_listed_with_the_entry_that_would_complete_it(kind: str) -> None:
    one = found(kind, Config())
    assert one.status is Status.NEEDS_CREDENTIALS
    advice = one.evidence[-1]
    entry = parse(advice.partition("credentials.bindings: ")[2]).data
    assert (entry["service"], entry["type"]) == (one.service.key, kind)
    assert tuple(entry["values"]) == FIRST[kind]
    assert not render.toolset_names([one], render.Settings())


@pytest.mark.parametrize("kind", sorted(LOGINS))
def test_once_bound_it_enters_the_file_with_the_variables_name(kind: str) -> None:
    one = found(kind, bound(kind))
    assert one.status is Status.CREDENTIALED
    written = text(one)
    assert "{{ env.SECRET }}" in written
    assert "$" not in written
    assert toolset_file_problems(parse(written), allowed_env=frozenset({"SECRET"})) == []
    assert toolset_file_problems(parse(written), allowed_env=frozenset()) != []


def test_a_binding_is_for_one_service_and_one_type_only() -> None:
    config = bound("elasticsearch")
    (binding,) = config.credentials.bindings
    assert config.credentials.of(binding.service, "grafana") is None
    assert config.credentials.of("other/elasticsearch", "elasticsearch") is None


def test_no_credential_goes_to_a_certificate_that_nobody_vouches_for_unless_the_operator_says_so() -> None:
    refused = found("elasticsearch", bound("elasticsearch"), verify_ssl=False)
    assert refused.status is Status.NEEDS_CREDENTIALS
    assert "insecure_tls: true" in refused.evidence[-1]
    allowed = found("elasticsearch", bound("elasticsearch", insecure_tls=True), verify_ssl=False)
    assert allowed.status is Status.CREDENTIALED


@pytest.mark.parametrize(
    ("binding", "told"),
    [
        ("{service: shop/es, type: elasticsearch, values: {api_key: abc}}", "looks like a secret"),
        (
            "{service: shop/es, type: elasticsearch, values: {api_key: '{{ env.HOME }}'}}",
            "allowed_env does not list",
        ),
        (
            "{service: shop/es, type: elasticsearch, values: {password: '{{ env.KEY }}'}}",
            "expected exactly api_key; or username, password",
        ),
        ("{service: shop/es, type: lamp, values: {}}", "no login is known of; known are"),
        ("{service: es, type: elasticsearch, values: {}}", "does not match"),
        ("{service: shop/es, type: elasticsearch}", "Missing data"),
    ],
)
def test_a_binding_that_cannot_be_used_is_told_with_its_place(binding: str, told: str) -> None:
    config = f"service_discovery:\n  credentials:\n    allowed_env: [KEY]\n    bindings:\n    - {binding}\n"
    with pytest.raises(YamlError, match=told) as error:
        read_config(config, frozenset(bundled()), LOGINS)
    assert "line 5: service_discovery.credentials.bindings[0]" in str(error.value)


def test_a_good_binding_is_read() -> None:
    binding = "{service: shop/es, type: elasticsearch, values: {api_key: '{{ env.KEY }}'}}"
    config = f"service_discovery: {{credentials: {{allowed_env: [KEY], bindings: [{binding}]}}}}"
    read = read_config(config, frozenset(bundled()), LOGINS)
    assert read.credentials.of("shop/es", "elasticsearch") is not None
