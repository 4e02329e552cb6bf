"""A cluster of lamps that is looked at now and then, with a prober that answers by a script."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sidecar.config import Config
from sidecar.discovery import Discoverer
from sidecar.prove import Outcome, Question, Verdict
from sidecar.recognised import recognise
from tests.unit.builders import backend, catalogue
from toolset.catalogue import Catalogue
from toolset.discovered import Discovery, Status
from toolset.remembered import Remembered
from toolset.service import Service

MARK = {"lamp.io/cluster": "*"}
LAMPS = catalogue(backend("lamp", recognise={"words": ["lamp"], "labels": [MARK]}), backend("bell"))
CONFIG = Config(cache_ttl=timedelta(seconds=100), unhealthy_retention=timedelta(seconds=1000))


@dataclass
class ScriptedProber:
    """Gives each Service the outcome that ``says`` has for it, and remembers what it was asked."""

    asks: bool = True
    says: dict[str, Outcome] = field(default_factory=dict)
    asked: list[Question] = field(default_factory=list)

    def ask(self, questions: Sequence[Question]) -> list[Verdict]:
        self.asked = list(questions)
        return [self._verdict(question) for question in questions]

    def _verdict(self, question: Question) -> Verdict:
        candidate = question.proven.candidate if question.proven else question.candidates[0]
        outcome = self.says.get(candidate.service.key, Outcome.VERIFIED)
        return Verdict(candidate, candidate.endpoints[0], outcome, evidence=(f"said {outcome}",))


class Cluster:
    """A cluster of some Services that is looked at now and then."""

    def __init__(self, *services: Service, config: Config = CONFIG, within: Catalogue = LAMPS) -> None:
        self.services = list(services)
        self.config = config
        self.prober = ScriptedProber()
        self._within = within
        self._discoverer = Discoverer(config)

    def look(self, now: float) -> Discovery:
        seen = recognise(self.services, self._within, self.config, "cluster.local")
        return self._discoverer.discover(seen, self.prober, now)

    def see(self, now: float) -> None:
        self._discoverer.see(recognise(self.services, self._within, self.config, "cluster.local"), now)

    def remember(self, remembered: dict[str, Remembered]) -> None:
        self._discoverer.remember(remembered)

    def network_down(self, now: float) -> bool:
        return self._discoverer.network_down(now)

    def next_due(self, now: float) -> float:
        return self._discoverer.next_due(now)

    def due(self, now: float) -> list[Question]:
        return self._discoverer.questions(now)

    def prompt(self, now: float, key: str) -> None:
        self._discoverer.prompt(now, [key])

    def ask_due(self, now: float) -> None:
        for question in self.due(now):
            self.answer(question, now)

    def answer(self, question: Question, now: float) -> None:
        self._discoverer.learn(question, self.prober.ask([question])[0], now)

    def known(self, now: float) -> Discovery:
        return self._discoverer.known(now)

    def reconfigure(self, config: Config) -> None:
        self.config = config
        self._discoverer.reconfigure(config, asks=True)

    def says(self, outcome: Outcome, key: str = "shop/lamp") -> None:
        self.prober.says[key] = outcome

    def status(self, now: float) -> Status | None:
        """The status of the only Service; None where it is not discovered."""
        discovered = self.look(now).discovered
        return discovered[0].status if discovered else None

    def fails(self, since: float, key: str = "shop/lamp") -> Discovery:
        """It fails from then on, and for long enough to be called unhealthy."""
        self.says(Outcome.UNREACHABLE, key)
        for seconds in range(4):
            seen = self.look(since + seconds)
        return seen

    def asked_for_proof(self) -> bool:
        [question] = self.prober.asked
        return question.proven is None


FAILING = [Outcome.UNREACHABLE, Outcome.MISMATCH, Outcome.NOT_SERVING]
