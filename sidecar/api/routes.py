"""What the API does; knows the controller only to read from it, and to wish a pass."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from werkzeug.exceptions import Conflict, NotFound, ServiceUnavailable

import toolset
from sidecar import manifests, validation
from sidecar.api import schemas
from sidecar.api.operations import JSON, YAML, Operation
from sidecar.api.views import Data, View, key_of, sections_of, shown_time, toolsets
from sidecar.controller import Controller, Wish
from sidecar.discovery import Discoverer
from sidecar.explain import UnknownServiceError
from sidecar.prove import NoProber
from sidecar.recognised import recognise
from sidecar.report import PastPass, Report
from sidecar.sources import SourceError
from toolset import catalogue, patterns, render
from toolset.yaml_source import Problem

ROOT = "/api/v1"

PATIENCE_SECONDS = 5.0
"""How long an answer that takes work waits for another one's: side by side both would take twice as long."""

_TEXTS = (YAML, "application/x-yaml", "text/yaml", "text/plain", JSON)

Query = Mapping[str, Any]


class Api:
    """The operations. From any thread."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._shown = View(controller.report.discovery, render.Settings())
        self._generated = Report(), render.Document(), ""
        self._working = threading.Lock()

    def operations(self) -> tuple[Operation, ...]:
        """All of them."""
        return (
            Operation("GET", f"{ROOT}/status", self.status, "How things are", schemas.Status),
            Operation(
                "GET",
                f"{ROOT}/toolsets",
                self.toolsets,
                "The toolsets that HolmesGPT gets",
                schemas.Toolsets,
                query=schemas.ToolsetsQuery,
            ),
            Operation(
                "GET",
                f"{ROOT}/toolsets/<toolset:name>",
                self.toolset,
                "One toolset, as HolmesGPT reads it",
                schemas.ToolsetDetail,
                fails=(404,),
            ),
            Operation(
                "GET",
                f"{ROOT}/custom_toolset.yaml",
                self.custom_toolset,
                "The file that HolmesGPT gets, without what its own base file says",
                YAML,
            ),
            Operation(
                "GET",
                f"{ROOT}/services",
                self.services,
                "The Services that something spoke for, page by page",
                schemas.Services,
                query=schemas.ServicesQuery,
            ),
            Operation(
                "GET",
                f"{ROOT}/services/<namespace>/<name>",
                self.service,
                "Why a Service is what it is taken for, or is left out",
                schemas.Explanation,
                fails=(404,),
            ),
            Operation(
                "POST",
                f"{ROOT}/discover",
                self.discover,
                "Look and ask anew, now; one at a time",
                schemas.Accepted,
                body=schemas.DiscoverBody,
                status=202,
                fails=(409,),
            ),
            Operation(
                "POST",
                f"{ROOT}/toolsets/generate",
                self.generate,
                "What would become of the Services of manifests",
                schemas.Generated,
                body=_TEXTS,
            ),
            Operation(
                "POST",
                f"{ROOT}/toolsets/validate",
                self.validate,
                "Whether a configuration, overrides or toolset file is valid",
                schemas.Validity,
                query=schemas.ValidateQuery,
                body=_TEXTS,
            ),
        )

    def status(self) -> Data:
        """How things are."""
        controller = self._controller
        report = controller.report
        return {
            "version": toolset.__version__,
            "source": controller.settings.source.description,
            "ready": controller.ready,
            "leads": controller.settings.leads(),
            "leader": controller.settings.leader(),
            "network_down": report.network_down,
            "changed": shown_time(report.changed_at),
            "pass_under_way": controller.wished,
            "counts": self._view().counts,
            "failures": list(controller.failures),
            "watches": [{"name": name, "state": state} for name, state in controller.watches()],
            "passes": [_pass(past) for past in report.passes],
        }

    def toolsets(self, query: Query) -> Data:
        """Those that fit the query."""
        found = toolsets(self._document(), self._view())
        return {"items": [one for one in found if all(one[key] is value for key, value in query.items())]}

    def toolset(self, name: str) -> Data:
        """One, with what HolmesGPT reads of it."""
        document = self._document()
        found = next((one for one in toolsets(document, self._view()) if one["name"] == name), None)
        if found is None:
            raise NotFound(f"no toolset is called {name:.200}: see {ROOT}/toolsets")
        section = sections_of(document)[name]
        return {**found, "yaml": render.toolset_yaml({section: {name: document[section][name]}})}

    def custom_toolset(self) -> str:
        """The whole file."""
        with self._work():
            self._document()
            report, document, text = self._generated
            text = text or render.toolset_yaml(document)
            self._generated = report, document, text
            return text

    def services(self, query: Query) -> Data:
        """A page."""
        wanted = {key: query[key] for key in ("namespace", "type", "status") if key in query}
        fit = [one for one in self._view().services if all(one[key] == wanted[key] for key in wanted)]
        behind = [one for one in fit if key_of(one) > query.get("after", "")]
        page = behind[: query["limit"]]
        more = len(behind) > len(page)
        return {"items": page, "total": len(fit), "next": key_of(page[-1]) if more else ""}

    def service(self, namespace: str, name: str) -> Data:
        """One, explained: it is asked anew."""
        key = f"{namespace}/{name}"
        try:
            with self._work():
                explanation = self._controller.explain(key)
        except UnknownServiceError as error:
            raise NotFound(str(error)) from error
        except SourceError as error:
            raise ServiceUnavailable(str(error), retry_after=5) from error
        return {"service": self._view().by_key.get(key), "explanation": explanation}

    def discover(self, body: Query) -> Data:
        """Wishes a pass."""
        if not self._controller.wish(Wish(**body)):
            raise Conflict("a pass that was asked for has not ended yet: try again in a moment")
        return {"status_url": f"{ROOT}/status"}

    def generate(self, body: str) -> Data:
        """From manifests to HolmesGPT's file."""
        controller = self._controller
        config = replace(controller.config, namespaces=(), exclude_namespaces=())
        rendering = controller.settings.rendering(config)
        known = patterns.apply(config.service_patterns, catalogue.bundled())
        with self._work():
            read = manifests.read_text(body)
            recognised = recognise(read.services, known, config, rendering.cluster_domain)
            found = Discoverer(config, domain=rendering.cluster_domain).discover(recognised, NoProber(), 0.0)
            document = render.toolset_document(found.discovered, rendering)
            return {
                "toolset": render.toolset_yaml(render.with_revision(document, found.discovered)),
                "services": list(View(found, rendering).services),
                "problems": list(read.problems),
            }

    def validate(self, body: str, query: Query) -> Data:
        """Checks a text."""
        with self._work():
            kind, problems = validation.validate(body, query.get("kind"))
        return {"kind": kind, "valid": not problems, "problems": [_problem(one) for one in problems]}

    def _document(self) -> render.Document:
        """What HolmesGPT gets; made once for each report, since of thousands of Services it takes a while."""
        report = self._controller.report
        if self._generated[0] is not report:
            self._generated = report, self._controller.generated(), ""
        return self._generated[1]

    def _view(self) -> View:
        report = self._controller.report
        view = View(
            report.discovery, self._controller.settings.rendering(self._controller.config), report.since
        )
        if not view.same_as(self._shown):
            self._shown = view
        return self._shown

    @contextmanager
    def _work(self) -> Iterator[None]:
        """What takes the processor for long, or asks Services: one at a time."""
        if not self._working.acquire(timeout=PATIENCE_SECONDS):
            raise ServiceUnavailable("busy with another request: try again", retry_after=2)
        try:
            yield
        finally:
            self._working.release()


def _pass(past: PastPass) -> Data:
    return {
        "ended": shown_time(past.ended_at),
        "seconds": round(past.seconds, 3),
        "discovered": past.discovered,
        "left_out": past.left_out,
        "unanswered": past.unanswered,
        "failures": list(past.failures),
        "times": past.times,
    }


def _problem(problem: Problem) -> Data:
    return {"line": problem.line, "path": problem.path, "message": problem.message}
