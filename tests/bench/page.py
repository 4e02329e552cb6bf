"""The status page among 5,000 Services, in a real Chromium; the Services are manifests.

    python -m tests.bench.page [SERVICES]

Prints how long the page takes to paint and to show its first and all of its rows, to filter, and to scroll
to the end; and what a poll costs the service when nothing changed. Takes about a minute.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.realparts import LOCAL, answers, part
from tests.service import COMMAND, free_address

SAMPLES = 5
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
ROWS = "document.querySelectorAll('#rows tr').length"
SHOWN = "document.querySelector('#shown').textContent"


def say(what: str, figure: str) -> None:
    print(f"{what:<60} {figure}", flush=True)


def manifests(count: int) -> str:
    """Half of them Prometheus servers, one a namespace; the other half something that only looks like one."""
    items = []
    for number in range(count):
        name = "prometheus" if number % 2 else "prometheus-node-exporter"
        spec = {"ports": [{"name": "web", "port": 9090}], "selector": {"app": name}}
        metadata = {"name": name, "namespace": f"team-{number:04}"}
        items.append({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    return json.dumps({"apiVersion": "v1", "kind": "ServiceList", "items": items})


def timed(page: Page, act: str, until: str) -> float:
    """Milliseconds from an action in the page to what it leads to, frame by frame."""
    return float(
        page.evaluate(
            f"""() => new Promise((done) => {{
              const start = performance.now();
              {act};
              const look = () => ({until}) ? done(performance.now() - start) : requestAnimationFrame(look);
              requestAnimationFrame(look);
            }})"""
        )
    )


def opened(browser: Browser, url: str) -> Page:
    """The page, with rights for the measuring that its own policy does not give."""
    page = browser.new_page(viewport={"width": 1280, "height": 800}, bypass_csp=True)
    page.goto(url)
    return page


def typed(word: str) -> str:
    """JavaScript that types a word into the search."""
    return f"""
      const search = document.querySelector('#search');
      search.value = '{word}';
      search.dispatchEvent(new Event('input'))"""


def measure(url: str, count: int) -> None:
    scroll = f"const go = () => {{ scrollTo(0, 1e9); if ({ROWS} < {count}) requestAnimationFrame(go) }}; go()"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=part("chromium"), args=["--no-sandbox"])
        moments: dict[str, list[float]] = {"first paint": [], "first 100 rows": [], "all known": []}
        for _ in range(SAMPLES):
            page = opened(browser, url)
            page.wait_for_function(f"{ROWS} >= 100", polling=10)
            moments["first 100 rows"].append(page.evaluate("performance.now()"))
            page.wait_for_function(f"{SHOWN} === '{count} Services'", polling=10)
            moments["all known"].append(page.evaluate("performance.now()"))
            moments["first paint"].append(page.evaluate(PAINT))
            page.close()
        for what, values in moments.items():
            figure = f"median {statistics.median(values):.0f} ms, at most {max(values):.0f}"
            say(f"{what}, from opening the page", figure)
        page = opened(browser, url)
        page.wait_for_function(f"{SHOWN} === '{count} Services'")
        say("one filter by a word", f"{timed(page, typed('team-0042'), f'{ROWS} === 1'):.0f} ms")
        say("and back", f"{timed(page, typed(''), f'{ROWS} >= 100'):.0f} ms")
        say(f"scrolling to the last of {count} rows", f"{timed(page, scroll, f'{ROWS} === {count}'):.0f} ms")
        browser.close()


def polls(url: str) -> None:
    tag = LOCAL.get(f"{url}/api/v1/status", timeout=10).headers["ETag"]
    times = []
    for _ in range(200):
        start = time.perf_counter()
        answer = LOCAL.get(f"{url}/api/v1/status", headers={"If-None-Match": tag}, timeout=10)
        times.append(1000 * (time.perf_counter() - start))
        assert answer.status_code == 304
    say("one poll, nothing changed", f"median {statistics.median(times):.1f} ms")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    http, metrics = free_address(), free_address()
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "services.json"
        source.write_text(manifests(count))
        line = [COMMAND, "run", "--from", str(source), "--http", http, "--metrics", metrics]
        line += ["--toolset-file", f"{scratch}/custom_toolset.yaml", "--log-level", "error"]
        service = subprocess.Popen(line)
        try:
            while not answers(f"http://{http}/ready"):
                time.sleep(0.1)
            say(f"{count} Services", "")
            measure(f"http://{http}", count)
            polls(f"http://{http}")
        finally:
            service.terminate()
            service.wait()


if __name__ == "__main__":
    main()
