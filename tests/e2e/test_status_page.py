"""The status page in a real Chromium, of a service that looks at manifests."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.browser import browser, context, page
from tests.service import Running, Start

__all__ = ["browser", "context", "page"]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/cluster"
COMPLAINTS = Path(__file__).with_name("complaints.js").read_text()
ELASTICSEARCH = "shop/orders-search-es-http"
HOSTILE = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>\'"&'


@pytest.fixture
def running(start: Start, tmp_path: Path) -> Running:
    manifests = tmp_path / "cluster"
    manifests.mkdir()
    for example in EXAMPLES.iterdir():
        (manifests / example.name).write_bytes(example.read_bytes())
    return start("--from", str(manifests)).wait_ready()


@pytest.fixture
def opened(running: Running, page: Page) -> Callable[[str], Page]:
    """Call it with an address within the page."""

    def go(address: str = "") -> Page:
        page.goto(f"http://{running.http}/{address}")
        expect(page.locator("#live")).to_have_text("Live")
        return page

    return go


Opened = Callable[[str], Page]


def names(page: Page) -> list[str]:
    """The Services that are shown, by the address of each."""
    return [
        (link.get_attribute("href") or "").removeprefix("#/services/")
        for link in page.locator("#rows a").all()
    ]


class TestList:
    def test_it_shows_what_was_found_and_what_was_left_out_with_the_reason(self, opened: Opened) -> None:
        page = opened("")
        expect(page.locator("#rows tr")).to_have_count(9)
        row = page.locator("#rows tr", has_text="orders-search-es-http")
        expect(row).to_contain_text("Elasticsearch")
        expect(row).to_contain_text("Unproven")
        expect(row).to_contain_text("https://orders-search-es-http.shop.svc.cluster.local:9200")
        exporter = page.locator("#rows tr", has_text="node-exporter")
        expect(exporter).to_contain_text("Left out")
        expect(exporter).to_contain_text("not Prometheus")

    def test_words_status_namespace_and_backend_filter_together(self, opened: Opened) -> None:
        page = opened("")
        page.get_by_role("searchbox").fill("ORDERS shop")
        expect(page.locator("#rows tr")).to_have_count(1)
        assert names(page) == [ELASTICSEARCH]
        page.get_by_role("searchbox").fill("")
        page.get_by_role("button", name="Left out").click()
        expect(page.locator("#shown")).to_have_text("2 of 9 Services")
        page.get_by_role("button", name="Left out").click()
        page.get_by_label("Namespace").select_option("tracing")
        expect(page.locator("#rows tr")).to_have_count(1)
        page.get_by_role("searchbox").fill("nothing at all")
        expect(page.locator("#rows")).to_contain_text("Nothing fits")

    def test_every_view_of_it_is_an_address_that_can_be_sent(self, opened: Opened) -> None:
        page = opened("")
        page.get_by_role("searchbox").fill("orders")
        page.get_by_label("Namespace").select_option("shop")
        expect(page.locator("#rows tr")).to_have_count(1)
        address = page.url.partition("/#")[2]
        page.goto("about:blank")

        again = opened(f"#{address}")

        expect(again.locator("#rows tr")).to_have_count(1)
        expect(again.get_by_role("searchbox")).to_have_value("orders")
        expect(again.get_by_label("Namespace")).to_have_value("shop")

    def test_a_change_is_shown_without_a_reload(
        self, opened: Opened, running: Running, tmp_path: Path
    ) -> None:
        page = opened("")
        expect(page.locator("#rows tr")).to_have_count(9)
        page.evaluate("window.sameAsBefore = true")
        new = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "loki", "namespace": "logs"},
            "spec": {"ports": [{"name": "http-metrics", "port": 3100}]},
        }
        (tmp_path / "cluster" / "new.json").write_text(json.dumps(new))
        expect(page.locator("#rows tr")).to_have_count(10)
        (tmp_path / "cluster" / "new.json").unlink()
        expect(page.locator("#rows tr")).to_have_count(9)
        assert page.evaluate("window.sameAsBefore")

    def test_a_service_that_goes_away_is_told_and_heard_of_again(
        self, opened: Opened, running: Running
    ) -> None:
        page = opened("")
        running.kill()
        expect(page.locator("#live")).to_have_text("No connection")
        expect(page.get_by_role("alert")).to_contain_text("does not answer")
        expect(page.locator("#rows tr")).to_have_count(9)


class TestDetail:
    def test_it_has_an_address_and_says_why_and_what_holmesgpt_gets(self, opened: Opened) -> None:
        page = opened(f"#/services/{ELASTICSEARCH}")
        detail = page.get_by_role("complementary", name="Details")
        expect(detail.get_by_role("heading", name=ELASTICSEARCH)).to_be_visible()
        expect(detail).to_contain_text("label common.k8s.elastic.co/type=elasticsearch")
        detail.get_by_text("elasticsearch/data", exact=True).click()
        expect(detail.locator("pre").first).to_contain_text("api_url:")
        detail.get_by_role("button", name="Ask it now").click()
        expect(detail.locator("#explanation")).to_contain_text("Recognised")

    def test_what_is_copied_is_what_is_shown(self, opened: Opened) -> None:
        page = opened(f"#/services/{ELASTICSEARCH}")
        button = page.get_by_role("button", name="Copy the URL", exact=True)
        button.click()
        expect(button).to_have_text("Copied")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == "https://orders-search-es-http.shop.svc.cluster.local:9200"

    @pytest.mark.parametrize("address", ["#/services/no/such", "#/services/%zz/x", "#/services/a/b/c", "#/x"])
    def test_an_address_that_leads_nowhere_breaks_nothing(self, opened: Opened, address: str) -> None:
        expect(opened(address).locator("#rows tr")).to_have_count(9)

    def test_what_needs_credentials_is_told_with_what_to_add(self, page: Page, running: Running) -> None:
        advice = (
            "to complete it, add to credentials.bindings: "
            '{service: shop/search, type: elasticsearch, values: {api_key: "{{ env.NAME }}"}}'
        )
        answering(page, services=[listed("search", status="needs_credentials", advice=advice)])
        page.goto(f"http://{running.http}/#/services/shop/search")
        added = page.locator("#detail pre").first
        expect(added).to_contain_text("service: shop/search")
        expect(added).to_contain_text('api_key: "{{ env.ELASTICSEARCH_API_KEY }}"')


class TestOtherViews:
    def test_activity_tells_of_passes_and_who_leads(self, opened: Opened) -> None:
        page = opened("#/activity")
        expect(page.locator("#activity tbody tr").first).to_contain_text("0.")
        expect(page.locator("#activity")).to_contain_text("no ConfigMaps are written")

    def test_the_file_is_there_to_be_copied(self, opened: Opened) -> None:
        page = opened("#/file")
        expect(page.locator("#file pre")).to_contain_text("elasticsearch/data:")
        page.get_by_role("button", name="Copy the file").click()
        assert "elasticsearch/data:" in page.evaluate("navigator.clipboard.readText()")

    def test_looking_again_makes_a_pass(self, opened: Opened, running: Running) -> None:
        page = opened("#/activity")
        before = running.metric("toolset_discovery_duration_seconds_count")
        page.get_by_role("button", name="Look again").click()
        expect(page.locator("#activity tbody tr")).to_have_count(int(before) + 1)


class TestHostility:
    """Whoever can create a Service writes what is shown here."""

    def test_whatever_a_service_says_is_shown_as_text(self, page: Page, running: Running) -> None:
        hostile = listed(
            HOSTILE, status=HOSTILE, title=HOSTILE, url=HOSTILE, evidence=[HOSTILE], advice=HOSTILE
        )
        hostile |= {"namespace": HOSTILE, "type": HOSTILE, "toolsets": [HOSTILE], "since": HOSTILE}
        status = {
            "source": HOSTILE,
            "leader": HOSTILE,
            "leads": False,
            "failures": [HOSTILE],
            "version": HOSTILE,
        }
        answering(page, services=[hostile], status=status)
        for address in ("", "#/activity", "#/file"):
            page.goto(f"http://{running.http}/{address}")
            expect(page.get_by_role("alert")).to_contain_text(HOSTILE)
        page.goto(f"http://{running.http}/")
        page.locator("#rows a").click()
        expect(page.locator("#detail h2")).to_have_text(f"{HOSTILE}/{HOSTILE}")
        assert page.evaluate("window.pwned") is None
        assert page.locator("main img, main script, aside img, aside script").count() == 0

    def test_a_name_that_is_no_address_is_no_link_to_one(self, page: Page, running: Running) -> None:
        answering(page, services=[listed("javascript:alert(1)")])
        page.goto(f"http://{running.http}/")
        assert page.locator("#rows a").get_attribute("href") == "#/services/shop/javascript%3Aalert(1)"


class TestKeyboardAndReaders:
    def test_all_of_it_works_without_a_mouse(self, opened: Opened) -> None:
        page = opened("")
        expect(page.locator("#rows tr")).to_have_count(9)
        page.keyboard.press("/")
        page.keyboard.type("orders")
        expect(page.locator("#rows tr")).to_have_count(1)
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page.locator("#detail h2")).to_have_text(ELASTICSEARCH)
        page.keyboard.press("Escape")
        expect(page.locator("#detail")).to_be_hidden()
        expect(page.locator("#rows a")).to_be_focused()
        expect(page.get_by_role("searchbox")).to_have_value("orders")

    def test_what_has_the_focus_keeps_it_when_something_changes(self, opened: Opened, tmp_path: Path) -> None:
        page = opened("")
        page.locator("#rows a", has_text="orders-search").focus()
        moved = (tmp_path / "cluster" / "tracing.yaml").rename(tmp_path / "tracing.yaml")
        expect(page.locator("#rows tr")).not_to_have_count(9)
        expect(page.locator("#rows a", has_text="orders-search")).to_be_focused()
        moved.unlink()

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_everything_has_a_name_and_can_be_read(self, opened: Opened, scheme: Any) -> None:
        for address in ("", f"#/services/{ELASTICSEARCH}", "#/activity", "#/file"):
            page = opened(address)
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            assert page.evaluate(COMPLAINTS) == [], address
            assert page.locator("html").get_attribute("lang") == "en"
            assert page.locator("h1").count() == 1

    def test_it_fits_a_phone(self, opened: Opened) -> None:
        page = opened("")
        page.set_viewport_size({"width": 360, "height": 740})
        for address in ("", f"#/services/{ELASTICSEARCH}", "#/activity", "#/file"):
            opened(address)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 360, address


class TestToken:
    """Where the API asks for one. Who may what is shown on a real API server elsewhere."""

    @pytest.fixture
    def guarded(self, page: Page, running: Running) -> Page:
        def only_with_token(route: Route) -> None:
            if route.request.headers.get("authorization") == "Bearer good":
                route.fallback()
            else:
                problem = {
                    "title": "Unauthorized",
                    "status": 401,
                    "detail": "the API server does not know this token",
                }
                route.fulfill(status=401, content_type="application/problem+json", body=json.dumps(problem))

        page.route("**/api/**", only_with_token)
        page.goto(f"http://{running.http}/")
        return page

    def test_it_is_asked_for_and_kept_for_this_tab_alone(self, guarded: Page) -> None:
        page = guarded
        dialog = page.get_by_role("dialog", name="Who are you?")
        expect(dialog).to_contain_text("kubectl create token")
        dialog.get_by_label("Token").fill("bad")
        dialog.get_by_role("button").click()
        expect(dialog).to_contain_text("does not know this token")
        dialog.get_by_label("Token").fill(" good\n")
        dialog.get_by_role("button").click()
        expect(page.locator("#rows tr")).to_have_count(9)
        assert page.evaluate("sessionStorage.length") == 1
        assert page.evaluate("localStorage.length + document.cookie.length") == 0
        page.reload()
        expect(page.locator("#rows tr")).to_have_count(9)

        page.get_by_role("button", name="Forget token").click()

        expect(dialog).to_be_visible()
        assert page.evaluate("sessionStorage.length") == 0
        expect(page.locator("#rows tr")).to_have_count(0)


def listed(name: str, **fields: Any) -> dict[str, Any]:
    """A Service as the API lists it."""
    return {
        "namespace": "shop",
        "name": name,
        "type": "elasticsearch",
        "title": "Elasticsearch",
        "url": "http://x",
        "status": "verified",
        "since": None,
        "toolsets": [],
        "evidence": [],
        "advice": "",
        **fields,
    }


def answering(page: Page, services: list[dict[str, Any]], status: dict[str, Any] | None = None) -> None:
    """Lets the page see these Services in place of the real ones: no API server would take such names."""

    def listing(route: Route) -> None:
        route.fulfill(json={"items": services, "total": len(services), "next": ""}, headers={"ETag": '"1"'})

    def telling(route: Route) -> None:
        told = route.fetch().json()
        route.fulfill(json={**told, **(status or {})}, headers={"ETag": '"1"'})

    page.route(re.compile(r"/api/v1/services[?]"), listing)
    page.route("**/api/v1/status", telling)
