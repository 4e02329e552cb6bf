"""Which backends a Service's names, labels and ports speak for. Cheap, local, pure.

What names a workload is a compound, as in English: in ``team-a-prometheus-alertmanager`` the last
product's name is the head and says what it is, words before it say whose, words behind it say which
part (``-server``), or that it is something beside the product (``-exporter``).

The selector decides which pods answer, so its word counts before the Service's own labels, and
those before its name: charts put the release's name, which may be any product's, before everything.
The catalogue is indexed by word, so that a Service pays for its own words and not for the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

from toolset import endpoints
from toolset.backend import Backend, PortRef
from toolset.service import Service
from toolset.words import PARTS, Words, is_neutral, split, stem
from toolset.yaml_source import parse

IDENTITY_LABELS = (
    "app.kubernetes.io/name",
    "k8s-app",
    "name",
    "app",
    "application",
    "app.kubernetes.io/component",
    "component",
)
"""Labels that name a workload, the general before the particular: read together they are one name."""

_COMPONENT_LABELS = frozenset({"app.kubernetes.io/component", "component"})

MARK, NAMED, CALLED, HINTED = 50, 40, 30, 20
"""The worth of: a mark of the product, a name that is its own, a name that holds it, ports or a bare name."""


@dataclass
class Match:
    """What speaks for one backend; or, in ``ruled_out``, why the name does not mean it after all."""

    backend: Backend
    score: int = 0
    evidence: list[str] = field(default_factory=list)
    ruled_out: str = ""

    def add(self, score: int, evidence: str) -> None:
        """One more piece of evidence."""
        self.score += score
        self.evidence.append(evidence)


@dataclass(frozen=True, slots=True)
class _Part:
    words: Words
    is_component: bool = False
    is_name: bool = False


@dataclass(frozen=True, slots=True)
class _Text:
    """One name of the workload, and the labels that it was put together from."""

    source: str
    words: Words
    parts: tuple[_Part, ...]


@dataclass(frozen=True, slots=True)
class _Head:
    text: _Text
    start: int
    end: int
    backends: tuple[Backend, ...]

    @property
    def tail(self) -> Words:
        return self.text.words[self.end :]


class _Phrases:
    """Words, single or several in a row, to be found in a name; each with what it means."""

    def __init__(self, meanings: Mapping[str, str]) -> None:
        self._by_first: dict[str, list[tuple[Words, str]]] = {}
        for phrase, meaning in meanings.items():
            words = split(phrase)
            said = f"{phrase}: {meaning}" if meaning else phrase
            self._by_first.setdefault(words[0], []).append((words, said))

    def first_in(self, words: Words) -> str:
        """The first one that ``words`` hold, with its meaning; empty when none."""
        for start, word in enumerate(words):
            for phrase, said in self._by_first.get(word, ()):
                if words[start : start + len(phrase)] == phrase:
                    return said
        return ""


class Index:
    """A catalogue, by the words, label keys and ports that its backends look for."""

    def __init__(self, backends: Sequence[Backend]) -> None:
        self._phrases: dict[str, dict[Words, list[Backend]]] = {}
        self._marks: dict[str, list[tuple[Mapping[str, str], Backend]]] = {}
        self._signatures: dict[PortRef, list[tuple[tuple[PortRef, ...], Backend]]] = {}
        self._excluding: dict[str, _Phrases] = {}
        self._beside: dict[str, _Phrases] = {}
        foreign: set[int] = set()
        for backend in backends:
            rule = backend.recognise
            for word in rule.words:
                phrase = split(word)
                self._phrases.setdefault(phrase[0], {}).setdefault(phrase, []).append(backend)
            for mark in rule.labels:
                self._marks.setdefault(next(iter(mark)), []).append((mark, backend))
            if rule.port_signature:
                first = rule.port_signature[0]
                self._signatures.setdefault(first, []).append((rule.port_signature, backend))
            own = dict.fromkeys(rule.not_words, "")
            self._excluding[backend.name] = _Phrases({**_common_words(), **own})
            self._beside[backend.name] = _Phrases(dict.fromkeys(rule.not_beside, ""))
            if "http" not in backend.endpoint.schemes:
                foreign |= {ref for ref in backend.endpoint.ports if isinstance(ref, int)}
        self.foreign_ports = frozenset(foreign)
        """Ports of other protocols: HTTP there may alarm somebody, or lock him out."""

    def matches(self, service: Service) -> list[Match]:
        """What speaks for each backend that anything speaks for, the ruled out included."""
        texts = list(_texts(service))
        found: dict[str, Match] = {}
        self._by_marks(service, found)
        self._by_names(service, texts, found)
        if not found:
            self._by_ports(service, found)
        for match in found.values():
            match.ruled_out = match.ruled_out or self._why_not(service, texts, match.backend)
        return list(found.values())

    def _by_marks(self, service: Service, found: dict[str, Match]) -> None:
        for labels in (service.selector, service.labels):
            for key in labels:
                for mark, backend in self._marks.get(key, ()):
                    if backend.name not in found and _has(labels, mark):
                        text = ", ".join(f"{name}={value}" for name, value in mark.items())
                        _match(found, backend).add(MARK, f"label {text}")

    def _by_names(self, service: Service, texts: Sequence[_Text], found: dict[str, Match]) -> None:
        """The first text that says anything of the workload decides; the Service's name comes last."""
        named = [text for text in texts if text.source != "name"]
        head = self._head(named[0]) if named else None
        if head is None and len(named) > 1:
            head = self._labelled(service, named[1])
        if head is not None:
            for backend in head.backends:
                self._named(service, head, backend, found)
            return
        head = self._head(texts[-1])
        if head is None:
            return
        for backend in head.backends:
            if not named:
                self._named(service, head, backend, found)
            elif backend.name not in found and all(map(is_neutral, head.tail)):
                port = endpoints.expected(service.ports, backend.endpoint)
                if port is not None and head.start == 0:
                    text = f"name {service.name}, port {endpoints.describe(port)}"
                    _match(found, backend).add(HINTED, text)

    def _labelled(self, service: Service, text: _Text) -> _Head | None:
        """What the labels say where the selector names nothing known, such as the installation alone.

        Labels may also tell whose a Service is that selects something else; so they must name the
        product plainly, and a port must be its.
        """
        head = self._head(text)
        if head is None or not all(map(is_neutral, head.tail)):
            return None
        telling = any(endpoints.expected(service.ports, backend.endpoint) for backend in head.backends)
        return head if telling else None

    def _named(self, service: Service, head: _Head, backend: Backend, found: dict[str, Match]) -> None:
        tail = [word for word in head.tail if word not in head.text.words[head.start : head.end]]
        known = frozenset(split("-".join(backend.recognise.prefer)))
        whole = all(is_neutral(word) or word in known for word in tail)
        said = f"{head.text.source} {'-'.join(head.text.words)}"
        if whole:
            _match(found, backend).add(NAMED if head.start == 0 else CALLED, said)
        elif backend.name in found or endpoints.expected(service.ports, backend.endpoint):
            _match(found, backend).add(CALLED, said)
        else:
            reason = f"{said} goes on with {tail[-1]}, and no port is its"
            _match(found, backend).ruled_out = reason

    def _by_ports(self, service: Service, found: dict[str, Match]) -> None:
        for port in service.ports:
            for first in (port.number, port.name, port.app_protocol):
                for signature, backend in self._signatures.get(first, ()):
                    if all(
                        any(endpoints.matches(other, ref) for other in service.ports) for ref in signature
                    ):
                        _match(found, backend).add(HINTED, "ports " + ", ".join(map(str, signature)))
                        return

    def _head(self, text: _Text) -> _Head | None:
        """The last product's name in ``text``, and of those that end there the longest."""
        best: _Head | None = None
        words = text.words
        for start, word in enumerate(words):
            for phrase, backends in self._phrases.get(word, {}).items():
                end = start + len(phrase)
                if words[start:end] == phrase and (best is None or end > best.end):
                    best = _Head(text, start, end, tuple(backends))
        return best

    def _why_not(self, service: Service, texts: Sequence[_Text], backend: Backend) -> str:
        for mark in backend.recognise.not_labels:
            if _has(service.labels, mark) or _has(service.selector, mark):
                return "label " + ", ".join(f"{key}={value}" for key, value in mark.items())
        for pattern in backend.recognise.not_lines:
            if any(map(pattern.search, service.workload)):
                return f"its pods' manifest holds {pattern.pattern}"
        excluding, beside = self._excluding[backend.name], self._beside[backend.name]
        for text in texts:
            about = self._mentioned(text.words, backend) >= 0
            held = beside.first_in(text.words)
            for part in text.parts:
                telling = self._telling(part, backend, named=len(texts) > 1, about=about)
                held = held or excluding.first_in(telling)
            if held:
                return f"{text.source} {'-'.join(text.words)} holds {held}"
        return ""

    def _telling(self, part: _Part, backend: Backend, *, named: bool, about: bool) -> Words:
        """The words that could say that it is something else: those behind the product's last mention.

        Of a Service's name beside labels only the last two, which is where charts put the part: operators
        call a Service by the product and then by whatever its owner called the installation. What does
        not mention the product is telling where it names a component, as the last word of a name, and
        where it is one word beside another label that does.
        """
        end = self._mentioned(part.words, backend)
        if part.is_name:
            behind = part.words[max(end, 1) :]
            if not named:
                return behind
            return behind[-2:] if end >= 0 else stem(behind, PARTS)[-1:]
        if end >= 0:
            return part.words[end:]
        return part.words if part.is_component or (about and len(part.words) == 1) else ()

    def _mentioned(self, words: Words, backend: Backend) -> int:
        """Where the last mention of the product ends; -1 where there is none."""
        last = -1
        for start, word in enumerate(words):
            for phrase, backends in self._phrases.get(word, {}).items():
                end = start + len(phrase)
                if end > last and backend in backends and words[start:end] == phrase:
                    last = end
        return last


def _match(found: dict[str, Match], backend: Backend) -> Match:
    return found.setdefault(backend.name, Match(backend))


def _texts(service: Service) -> Iterator[_Text]:
    for source, labels in (("selector", service.selector), ("labels", service.labels)):
        parts: list[_Part] = []
        words: Words = ()
        for key in IDENTITY_LABELS:
            if key in labels:
                part = _Part(split(labels[key]), is_component=key in _COMPONENT_LABELS)
                parts.append(part)
                words += part.words
        if words:
            yield _Text(source, words, tuple(parts))
    name = split(service.name)
    yield _Text("name", name, (_Part(name, is_name=True),))


def _has(labels: Mapping[str, str], mark: Mapping[str, str]) -> bool:
    return all(key in labels and fnmatchcase(labels[key], value) for key, value in mark.items())


@cache
def _common_words() -> Mapping[str, str]:
    text = files("toolset").joinpath("ruled_out.yaml").read_text("utf-8")
    words: dict[str, str] = parse(text).data
    return words
