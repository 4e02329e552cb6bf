"""Prints how well Services are recognised, beside two baselines, and what it costs."""

from __future__ import annotations

import time

from tests.corpus import baselines, offline, score
from toolset.catalogue import bundled
from toolset.classify import classify

MANY = 10_000


def cpu_seconds(many: int = MANY) -> float:
    """CPU time for classifying ``many`` Services of the corpus, over and over, against every backend."""
    services, catalogue = offline.services(score.load()), bundled()
    some = (services * (many // len(services) + 1))[:many]
    classify(some[0], catalogue)  # reads the catalogue
    started = time.process_time()
    for service in some:
        classify(service, catalogue)
    return time.process_time() - started


def main() -> None:
    """Prints the figures."""
    records = score.load()
    print(f"{len(records)} Services in {len(score.clusters(records))} clusters, offline:")
    for workloads in (False, True):
        mine = list(offline.choices(records, workloads=workloads))
        given = "Services and workloads" if workloads else "Services alone"
        for scope in ("all", "core"):
            result = score.score(records, mine, scope)
            title = f"dynamic-toolset from {given}, {scope}"
            print(*score.report(title, result, by_kind=scope == "all"), sep="\n")
        for what, texts in sorted(score.score(records, mine).details.items()):
            print(f"  {what}:", *texts, sep="\n    ")
    holmes = list(baselines.holmesgpt(records))
    family = score.score(records, holmes, "core", family=True, only=score.FAMILY)
    print(*score.report("HolmesGPT's selectors, PromQL only", family), sep="\n")
    former = list(baselines.former(records))
    own = score.score(records, former, "core", only=baselines.FORMER_KINDS)
    print(*score.report("the former service without its health check, its four kinds", own), sep="\n")
    print(*score.report("the former service, all kinds", score.score(records, former, "core")), sep="\n")
    print(f"{MANY} Services x {len(bundled())} backends: {cpu_seconds():.2f} s CPU")


if __name__ == "__main__":
    main()
