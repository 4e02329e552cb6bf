"""One entry per installation: of the Services in front of one deployment, the one a person would configure.

Charts and operators put several Services before the same thing: for its peers (``-headless``), one a
role (``-primary``, ``-query-frontend``), one a node set, a gateway. Two Services belong together when
they say the same product and nothing tells their installations apart: neither selector nor labels
contradict each other but in the role, and something telling is the same, or their names are the same
but for words that name a part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from toolset.classify import Candidate
from toolset.service import Service
from toolset.words import PARTS, Words, find, split, stem

INSTANCE_LABELS = ("app.kubernetes.io/instance", "release", "argocd.argoproj.io/instance")
"""Labels that name an installation, whatever it is (Kubernetes: Recommended Labels; Helm)."""

ROLE_KEYS = frozenset(
    {"app", "component", "app.kubernetes.io/component", "role", "tier", "variant", "name", "k8s-app"}
)
"""Labels in which the parts of one installation differ."""

_TELLS_NOTHING = frozenset(
    {
        "app.kubernetes.io/managed-by",
        "app.kubernetes.io/part-of",
        "app.kubernetes.io/version",
        "app.kubernetes.io/component",
        "helm.sh/chart",
        "component",
        "chart",
        "heritage",
        "role",
        "tier",
        "team",
        "variant",
    }
)


_CLUSTER_NAMES = frozenset({"cluster", "cluster-name", "name", "instance", "chi", "opensearch-cluster"})


@dataclass
class Group:
    """One installation: the candidates of the Service to configure, and those that stand for it."""

    chosen: tuple[Candidate, ...]
    others: list[tuple[Candidate, ...]] = field(default_factory=list)


def group(candidates: Iterable[tuple[Candidate, ...]]) -> list[Group]:
    """The installations, each with its Services in the order in which a person would choose them.

    ``candidates`` are those of one Service each, the likeliest first; the first says what it is.
    """
    groups: dict[tuple[str, str], list[Group]] = {}
    for these in sorted(candidates, key=lambda these: _rank(these[0])):
        first = these[0]
        known = groups.setdefault((first.service.namespace, first.type), [])
        fitting = [found for found in known if _together(found.chosen[0], first)]
        if fitting:
            max(fitting, key=lambda found: _likeness(found.chosen[0].service, first.service)).others.append(
                these
            )
        else:
            known.append(Group(these))
    return [found for known in groups.values() for found in known]


def instead(chosen: Candidate) -> str:
    """Why a Service is left out in favour of another."""
    return f"{chosen.backend.title} is reached through {chosen.service.key}: one entry an installation"


def _rank(candidate: Candidate) -> tuple[object, ...]:
    """Sorts what a person would configure first: an address of its own, the part that answers for all."""
    service, prefer = candidate.service, candidate.backend.recognise.prefer
    words = split(service.name)
    annotated = candidate.wishes.enabled is True or bool(candidate.wishes.type)
    return (
        not annotated,
        # For those outside of the cluster: brokers behind it name addresses out there.
        "external" in words,
        service.headless,
        _preference(service, prefer),
        "internal" in words,
        not any(find(words, split(word)) >= 0 for word in candidate.backend.recognise.words),
        len(words),
        service.name,
    )


def _preference(service: Service, prefer: tuple[str, ...]) -> int:
    """Where the Service's part stands in the product's list; its own name says more than the labels.

    Later words of a name are its part: ``query-frontend`` is no ``query``. Without a part it stands last.
    """
    texts = [split(service.name)]
    texts += [
        split(labels[key])
        for labels in (service.selector, service.labels)
        for key in ROLE_KEYS
        if key in labels
    ]
    for text in texts:
        for place, part in enumerate(prefer):
            phrase = split(part)
            at = find(text, phrase)
            if at >= 0 and (at > 0 or text == phrase):
                return place
    return len(prefer)


def _together(chosen: Candidate, other: Candidate) -> bool:
    one, two = _facts(chosen.service), _facts(other.service)
    differing = {key for key in one.keys() & two.keys() if one[key] != two[key] and not _is_role(key)}
    if not differing and _shared(one, two):
        return True
    # Each part may be a release of its own; then only the name says that they belong together.
    return not any(map(_is_cluster, differing)) and _stem(chosen) == _stem(other)


def _is_role(key: str) -> bool:
    return key in ROLE_KEYS or key.lower().endswith("role")


def _is_cluster(key: str) -> bool:
    """Whether a label is one by which an operator says to which installation something belongs."""
    domain, _, name = key.rpartition("/")
    return bool(domain) and domain != "app.kubernetes.io" and name in _CLUSTER_NAMES


def _facts(service: Service) -> dict[str, str]:
    """What is said of the pods; where the selector and the labels disagree, the selector is right.

    Of the labels only those that name an installation count besides: the rest describe the Service.
    """
    facts = dict(service.selector)
    for key, value in service.labels.items():
        if key in INSTANCE_LABELS or not service.selector:
            facts.setdefault(key, value)
    return {key: value for key, value in facts.items() if key not in {"helm.sh/chart", "chart", "heritage"}}


def _shared(one: Mapping[str, str], two: Mapping[str, str]) -> set[str]:
    return {key for key in one.keys() & two.keys() if one[key] == two[key]} - _TELLS_NOTHING


def _likeness(one: Service, two: Service) -> int:
    return len(_shared(_facts(one), _facts(two)))


def _stem(candidate: Candidate) -> Words:
    own = frozenset(word for part in candidate.backend.recognise.prefer for word in split(part))
    return stem(split(candidate.service.name), own | PARTS)
