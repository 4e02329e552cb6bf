"""How much one namespace, and all together, may put before HolmesGPT, and that it is told."""

import logging
from collections.abc import Sequence
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from sidecar.config import Config
from sidecar.memory import FAILURES, SLOW_SECONDS
from sidecar.metrics import Metrics
from sidecar.prove import Outcome, Question, Verdict
from sidecar.recognised import recognise
from sidecar.report import Passed, Teller
from tests.unit.builders import service
from tests.unit.discovering import Cluster, ScriptedProber
from tests.unit.rendering import BACKENDS, SETTINGS, found, lamp
from toolset import render
from toolset.discovered import Discovered, Discovery, Status
from toolset.documents import MAX_BYTES
from toolset.limits import MAX_IN_ALL, MAX_PER_NAMESPACE, MAX_PER_TOOLSET, MAX_SERVICES, within
from toolset.render import CHECK_BUDGET_SECONDS

NOBODY: frozenset[str] = frozenset()


def bells(namespace: str, count: int) -> list[Discovered]:
    """Each a toolset of its own."""
    return [found(service(f"bell-{n:04}", namespace)) for n in range(count)]


def lamps(namespace: str, count: int, status: Status = Status.VERIFIED) -> list[Discovered]:
    """All of one toolset."""
    return [lamp(f"lamp-{n:04}", namespace, status) for n in range(count)]


def kept(discovered: Sequence[Discovered], trusted: frozenset[str] = NOBODY) -> dict[str, int]:
    """How many of each namespace are published."""
    discovery = within(Discovery(tuple(discovered)), trusted)
    assert len(discovery.discovered) + len(discovery.skipped) == len(discovered)
    assert all(skip.limited and skip.reason for skip in discovery.skipped)
    namespaces = [one.service.namespace for one in discovery.discovered]
    return {namespace: namespaces.count(namespace) for namespace in namespaces}


def test_a_namespace_has_so_many_backends_and_no_more() -> None:
    assert kept(bells("evil", 5000) + bells("shop", 2)) == {"evil": MAX_PER_NAMESPACE, "shop": 2}


def test_a_namespace_has_so_many_instances_of_a_shared_toolset_and_no_more() -> None:
    assert kept(lamps("evil", 50) + lamps("shop", 2)) == {"evil": MAX_PER_TOOLSET, "shop": 2}


def test_what_is_in_no_toolset_uses_up_no_place_in_one() -> None:
    locked = lamps("shop", 50, Status.NEEDS_CREDENTIALS)
    assert kept([*locked, lamp("lamp-z")]) == {"shop": 51}


def test_a_trusted_namespace_has_as_many_as_it_likes() -> None:
    assert kept(lamps("shop", 200), frozenset({"shop"})) == {"shop": 200}


def test_in_all_there_are_so_many_trusted_ones_first_and_the_others_in_turn() -> None:
    many = [one for n in range(8) for one in bells(f"evil-{n}", MAX_PER_NAMESPACE)]
    counts = kept([*many, *bells("shop", 1), *bells("mine", 300)], frozenset({"mine"}))
    assert sum(counts.values()) == MAX_IN_ALL
    assert counts["mine"] == 300
    assert counts["shop"] == 1, "who has few loses none to those who have many"


def test_nothing_changes_below_the_limits() -> None:
    discovery = Discovery(tuple(lamps("shop", MAX_PER_TOOLSET)))
    assert within(discovery, NOBODY) is discovery


def test_as_many_as_there_may_be_fit_into_a_config_map_whatever_their_names() -> None:
    long = "bell-" + "x" * 58
    most = [found(service(f"{long[:-4]}{n:04}", "n" * 63, uid="u" * 36)) for n in range(MAX_IN_ALL)]
    document = render.with_revision(render.toolset_document(most, SETTINGS), most)
    texts = [render.toolset_yaml(document)]
    texts += [render.toolset_json(most, SETTINGS), render.services_yaml(most, SETTINGS)]
    assert sum(len(text.encode()) for text in texts) < MAX_BYTES


def test_of_a_namespace_so_many_services_are_asked_the_likeliest_and_no_more() -> None:
    flood = [service(f"lamp-{n:04}", "evil", selector={"app": f"lamp-{n}"}) for n in range(5000)]
    marked = service("zz-bell", "evil", annotations={"kubernaut.io/toolset-type": "bell"})
    services = [*flood, marked, service("lamp")]

    seen = recognise(services, BACKENDS, Config(), "cluster.local")

    asked = [these[0].service.key for these in seen.candidates]
    asked += [these[0].service.key for others in seen.equivalents.values() for these in others]
    assert len(asked) == MAX_SERVICES + 1
    assert {"shop/lamp", "evil/zz-bell"} <= set(asked)
    assert sum(skip.limited for skip in seen.skipped) == len(services) - len(asked)
    trusting = Config(trusted_namespaces=("evil",))
    assert not recognise(services, BACKENDS, trusting, "cluster.local").skipped


def test_it_is_told_when_a_limit_is_reached_and_once(caplog: pytest.LogCaptureFixture) -> None:
    teller = Teller(Metrics(CollectorRegistry()))
    discovery = within(Discovery(tuple(lamps("evil", 50))), NOBODY)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            teller.passed(Passed(discovery, (), 0.1), "here")
    [told] = caplog.messages
    assert told.startswith(
        "limits leave out 44 Services, such as evil/lamp-0006: evil has more than 6 instances"
    )
    assert "trusted_namespaces" in told, "and the cure"


def test_what_a_look_at_a_cluster_discovers_is_within_the_limits() -> None:
    flood = [service(f"x{n}x-lamp", "evil", selector={"app": f"x{n}x-lamp"}) for n in range(50)]
    seen = Cluster(*flood, service("lamp")).look(0)
    keys = [one.service.namespace for one in seen.discovered]
    assert (keys.count("evil"), keys.count("shop")) == (MAX_PER_TOOLSET, 1)


class Slow(ScriptedProber):
    """Whose answers take so long."""

    seconds = 0.0

    def ask(self, questions: Sequence[Question]) -> list[Verdict]:
        return [
            Verdict(it.candidate, it.endpoint, Outcome.VERIFIED, seconds=self.seconds)
            for it in super().ask(questions)
        ]


def test_what_answers_its_check_too_slowly_for_holmesgpt_is_failing(lamp: Cluster) -> None:
    lamp.config = Config(health_check_interval=timedelta(seconds=1))
    lamp.prober = slow = Slow()
    slow.seconds = SLOW_SECONDS + 1
    assert lamp.status(0) is Status.VERIFIED, "it is what it is"
    statuses = [lamp.status(second) for second in range(1, FAILURES + 2)]
    assert statuses[-1] is Status.UNHEALTHY
    [unhealthy] = lamp.look(10).discovered
    assert "answered its check after 4.0 s, more than 3 s" in unhealthy.evidence
    slow.seconds = 0.1
    assert lamp.status(11) is Status.VERIFIED


def test_the_instances_of_one_namespace_alone_cannot_use_up_holmesgpts_time() -> None:
    assert MAX_PER_TOOLSET * SLOW_SECONDS < CHECK_BUDGET_SECONDS
