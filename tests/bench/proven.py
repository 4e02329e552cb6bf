"""Prints how well Services are found with proofs: each of the corpus answered by its stand-in."""

from __future__ import annotations

import time

from tests.corpus import impostors, proven, score


def main() -> None:
    """Prints the figures."""
    records = score.load()
    started = time.monotonic()
    mine = list(proven.choices(records))
    took = time.monotonic() - started
    print(
        f"{len(records)} Services in {len(score.clusters(records))} clusters, each answered on loopback by "
        f"what its workload would say; {took:.1f} s"
    )
    print(
        f"{proven.headless(records)} are headless: they are given an address here, as if it were a ClusterIP"
    )
    for scope in ("all", "core"):
        result = score.score(records, mine, scope)
        print(
            *score.report(f"dynamic-toolset with proofs, {scope}", result, by_kind=scope == "all"), sep="\n"
        )
    for what, texts in sorted(score.score(records, mine).details.items()):
        print(f"  {what}:", *texts, sep="\n    ")
    print("every port of every Service answered by one impostor; verified as something that it is not:")
    for who in impostors.AS:
        wrong = list(impostors.let_in(records, who))
        print(f"  {who:36} {len(wrong)}", *wrong, sep="\n    ")


if __name__ == "__main__":
    main()
