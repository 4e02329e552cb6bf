"""Judges a choice of Services against the corpus.

Strict: right is a primary Service chosen with its kind; an equivalent of the same installation, chosen
instead of it or besides, is wrong. A URL is judged of the right ones: exact is scheme, host, port and
path; of wire protocols host and port.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

CORPUS = Path(__file__).with_name("dev.jsonl")

FAMILY = frozenset({"prometheus", "thanos", "victoriametrics", "mimir", "cortex"})
"""Kinds that are one where only PromQL counts."""

SCOPES = {"core": {"core"}, "data": {"core", "data"}, "all": {"core", "data", "extra"}}
_WIRE = frozenset({"tcp", "tls"})
_DEFAULT_PORTS = {"http": 80, "https": 443}

Record = dict[str, Any]


class Key(NamedTuple):
    """A Service of the corpus."""

    cluster: str
    namespace: str
    name: str


class Choice(NamedTuple):
    """A Service that somebody chose, as what, and under which URL."""

    key: Key
    kind: str
    url: str


class UrlCheck(NamedTuple):
    """What is right about a URL."""

    exact: bool
    base: bool
    port: bool


@dataclass
class Score:
    """Counts over all kinds and by kind; ``details`` holds what went wrong, by what it is."""

    want: int = 0
    total: Counter[str] = field(default_factory=Counter)
    kinds: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    details: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def precision(self) -> float:
        """Of what was chosen and is judged, the part that is right."""
        return precision(self.total)

    @property
    def recall(self) -> float:
        """Of what was to be found, the part that was."""
        return ratio(self.total["right"], self.want)

    def url(self, what: str = "exact") -> float:
        """Of the right ones, the part whose URL is ``exact``, or right in ``base`` or ``port``."""
        return ratio(self.total[what], self.total["right"])

    def count(self, kind: str, *whats: str) -> None:
        """Counts for the whole and for ``kind``."""
        for what in whats:
            self.total[what] += 1
            self.kinds[kind][what] += 1


def ratio(part: int, whole: int) -> float:
    """``part`` of ``whole``; of nothing everything."""
    return part / whole if whole else 1.0


def precision(counts: Counter[str]) -> float:
    """Of what was chosen and is judged, the part that is right."""
    chosen = counts["right"] + counts["equivalent"] + counts["duplicate"] + counts["wrong"]
    return ratio(counts["right"], chosen)


def load(path: Path = CORPUS) -> list[Record]:
    """The labelled Services."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def key_of(record: Record) -> Key:
    """Which Service a record is of."""
    meta = record["service"]["metadata"]
    return Key(record["cluster"], meta["namespace"], meta["name"])


def clusters(records: Iterable[Record]) -> dict[str, list[Record]]:
    """The records by cluster, those of each sorted by namespace and name."""
    found: defaultdict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=key_of):
        found[record["cluster"]].append(record)
    return dict(found)


def check_url(url: str, record: Record) -> UrlCheck:
    """What is right about ``url`` as the address of the labelled Service."""
    expect, meta = record["expect"], record["service"]["metadata"]
    parts = urlsplit(url if "://" in url else "//" + url)
    scheme, host, path = parts.scheme, parts.hostname or "", parts.path.rstrip("/")
    port = parts.port or _DEFAULT_PORTS.get(scheme)
    own = f"{meta['name']}.{meta['namespace']}"
    here = host in {own, own + ".svc"} or host.startswith(own + ".svc.")
    for other in expect.get("also", []):
        spoken = other["scheme"] in _WIRE or (scheme == other["scheme"] and path == other["path"])
        if here and port == other["port"] and spoken:
            return UrlCheck(exact=True, base=True, port=True)
    right = here and port == expect["port"]
    if expect["scheme"] in _WIRE:
        return UrlCheck(exact=right, base=right, port=right)
    base = right and scheme == expect["scheme"]
    paths = [expect.get("path", ""), *expect.get("path_alt", [])]
    return UrlCheck(exact=base and path in [p.rstrip("/") for p in paths], base=base, port=right)


def score(
    records: Collection[Record],
    choices: Iterable[Choice],
    scope: str = "all",
    *,
    family: bool = False,
    only: Collection[str] = (),
) -> Score:
    """Judges ``choices``; ``family`` takes the PromQL kinds as one, ``only`` judges these kinds alone."""
    return _Judge(records, scope, family, only).judge(list(dict.fromkeys(choices)))


class _Judge:
    def __init__(self, records: Collection[Record], scope: str, family: bool, only: Collection[str]) -> None:
        self.rows = {key_of(record): record for record in records}
        self.tiers = SCOPES[scope]
        self.family = family
        self.only = only
        self.result = Score()
        self.foreign = {
            record["expect"]["kind"]
            for record in records
            if record["expect"]["kind"] and record["expect"]["tier"] not in self.tiers
        }
        self.wanted = {key: row for key, row in self.rows.items() if self._is_wanted(row["expect"])}

    def judge(self, choices: list[Choice]) -> Score:
        for row in self.wanted.values():
            self.result.count(self._kind(row["expect"]["kind"]), "want")
        self.result.want = len(self.wanted)
        covered = {
            self.rows[choice.key]["expect"]["group"]
            for choice in choices
            if choice.key in self.rows
            and self._is_right(choice)
            and self.rows[choice.key]["expect"]["primary"]
        }
        found: set[Key] = set()
        for choice in choices:
            self._one(choice, covered, found)
        for key in self.wanted.keys() - found:
            self._tell("missed", key, self.wanted[key]["expect"]["kind"])
        return self.result

    def _one(self, choice: Choice, covered: set[str], found: set[Key]) -> None:
        key, kind = choice.key, choice.kind
        row = self.rows[key]
        expect, same = row["expect"], self._is_right(choice)
        if self._is_unjudged(choice, expect, same):
            return
        if same and expect["primary"]:
            found.add(key)
            check = check_url(choice.url, row)
            marks = [what for what in ("exact", "base", "port") if getattr(check, what)]
            self.result.count(self._kind(kind), "right", *marks)
            if not check.exact:
                right = f"{expect['scheme']}:{expect['port']}{expect.get('path', '')}"
                self._tell("url", key, f"{kind} {choice.url} is {right}")
        elif same:
            what = "duplicate" if expect["group"] in covered else "equivalent"
            covered.add(expect["group"])
            self.result.count(self._kind(kind), what)
            self._tell(what, key, kind)
        else:
            self.result.count(self._kind(kind), "wrong")
            self._tell("wrong", key, f"{kind}: {expect['kind'] or expect['why']}")

    def _is_wanted(self, expect: dict[str, Any]) -> bool:
        return bool(
            expect["kind"]
            and expect["tier"] in self.tiers
            and expect.get("primary")
            and not expect.get("optional")
            and (not self.only or expect["kind"] in self.only)
        )

    def _is_right(self, choice: Choice) -> bool:
        kind = self.rows[choice.key]["expect"]["kind"]
        return bool(kind) and self._kind(kind) == self._kind(choice.kind)

    def _is_unjudged(self, choice: Choice, expect: dict[str, Any], same: bool) -> bool:
        return bool(
            (same and (expect["tier"] not in self.tiers or expect.get("optional")))
            or (choice.kind in self.foreign and choice.key not in self.wanted)
            or (not same and choice.kind in expect.get("alt", []))
            or (same and self.only and expect["kind"] not in self.only)
        )

    def _kind(self, kind: str) -> str:
        return "prometheus*" if self.family and kind in FAMILY else kind

    def _tell(self, what: str, key: Key, text: str) -> None:
        self.result.details[what].append(f"{'/'.join(key)} {text}")


def report(title: str, result: Score, *, by_kind: bool = False) -> Iterator[str]:
    """The figures, for people."""
    total = result.total
    yield (
        f"{title}: {result.want} to find; {total['right']} right, {total['equivalent']} equivalents instead, "
        f"{total['duplicate']} duplicates, {total['wrong']} wrong"
    )
    yield (
        f"  precision {result.precision:6.1%}  recall {result.recall:6.1%}  "
        f"URL exact {result.url():6.1%}, scheme and port {result.url('base'):6.1%}"
    )
    if by_kind:
        yield f"  {'':16}{'want':>5}{'right':>7}{'wrong':>7}{'precision':>11}{'recall':>9}{'URL':>11}"
        for kind, counts in sorted(result.kinds.items()):
            wrong = counts["equivalent"] + counts["duplicate"] + counts["wrong"]
            recall, exact = ratio(counts["right"], counts["want"]), ratio(counts["exact"], counts["right"])
            yield (
                f"  {kind:16}{counts['want']:5}{counts['right']:7}{wrong:7}{precision(counts):11.1%}"
                f"{recall:9.1%}{exact:11.1%}"
            )
