"""Print how many tests ran, by kind, and their sum as the last line; exit with 1 if any failed or none ran.

For scripts/test, which leaves in the directory named first, for each kind: KIND.xml (pytest's report) and
KIND.code (its exit code), or for the linters `lint` with a line for each.
"""

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET


def count(directory: Path, kind: str) -> tuple[Counter[str], float] | None:
    """How many passed, failed and were skipped, and the seconds it took; None if this kind did not run."""
    lines, report, code = (directory / name for name in (kind, f"{kind}.xml", f"{kind}.code"))
    if lines.exists():
        checks = [line.split() for line in lines.read_text().splitlines()]
        return Counter(outcome for outcome, _ in checks), sum(float(seconds) for _, seconds in checks)
    if not code.exists():
        return None
    counts: Counter[str] = Counter()
    seconds = 0.0
    for suite in ET.parse(report).iter("testsuite") if report.exists() else ():  # noqa: S314 - our own file
        number = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
        counts["failed"] += number["failures"] + number["errors"]
        counts["skipped"] += number["skipped"]
        counts["passed"] += number["tests"] - number["failures"] - number["errors"] - number["skipped"]
        seconds += float(suite.get("time", "0"))
    if int(code.read_text()) and not counts["failed"]:
        counts["failed"] = 1  # pytest itself did not get through
    return counts, seconds


def main(directory: str, *kinds: str) -> int:
    """Print the table."""
    total: Counter[str] = Counter()
    print(f"\n{'':12}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}")
    for kind in kinds:
        if counted := count(Path(directory), kind):
            counts, seconds = counted
            total += counts
            row = "".join(f"{counts[outcome]:8}" for outcome in ("passed", "failed", "skipped"))
            print(f"{kind:12}{row}{seconds:9.1f}")
        else:
            print(f"{kind:12}{'none':>8}")
    skipped = f", {total['skipped']} skipped" if total["skipped"] else ""
    print(f"\n{total['passed']} passed, {total['failed']} failed{skipped}")
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
