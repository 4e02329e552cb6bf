"""Write the table of the backends into a page, between its two marks: what the catalogue says of each."""

import sys
from collections.abc import Iterator
from pathlib import Path
from string import Template

from toolset.backend import Backend, Exchange
from toolset.catalogue import CUSTOM, bundled

BEGIN, END = "<!-- backends: scripts/backends-table -->\n", "<!-- end of backends -->\n"
HEAD = "| backend | recognised by | proven by | HolmesGPT gets | login |\n|---|---|---|---|---|\n"


def table() -> str:
    """A row for each backend, by title."""
    backends = sorted(bundled().values(), key=lambda backend: backend.title.lower())
    return HEAD + "".join(_row(backend) for backend in backends if backend.name != CUSTOM)


def _row(backend: Backend) -> str:
    cells = (
        f"**{backend.title}** `{backend.name}`<br>{backend.description}",
        "<br>".join(_recognised(backend)),
        "<br>".join(dict.fromkeys(" and ".join(map(_asked, proof)) for proof in backend.proofs)),
        "<br>".join(_toolsets(backend)) or "nothing: listed only",
        "<br>".join(_logins(backend)) or "none",
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _recognised(backend: Backend) -> Iterator[str]:
    it = backend.recognise
    if it.words:
        yield ", ".join(it.words)
    for labels in it.labels:
        yield "`" + ", ".join(f"{name}={value}" for name, value in labels.items()) + "`"
    if it.port_signature:
        yield f"ports {', '.join(map(str, it.port_signature))}"


def _asked(exchange: Exchange) -> str:
    if exchange.send is not None:
        return "its own protocol's greeting"
    if exchange.post is not None:
        return "a greeting in JSON"
    return f"`GET {exchange.get or '/'}`"


def _toolsets(backend: Backend) -> Iterator[str]:
    rules = backend.toolsets or (backend.credentials.toolsets if backend.credentials else ())
    for rule in rules:
        kind = f" (`type: {rule.type}`)" if rule.type else ""
        yield f"`{Template(rule.name).safe_substitute(id='…', type='…')}`{kind}"
    if backend.trusted_only:
        yield "only from `trusted_namespaces`"


def _logins(backend: Backend) -> Iterator[str]:
    for way in backend.credentials.ways if backend.credentials else ():
        yield f"`{'`, `'.join(way.needs)}`"
        makers = dict.fromkeys(known.maker for known in way.secrets)
        if makers:
            yield f"known: {'; '.join(makers)}"


def within(text: str) -> str:
    """A page with the table in its place."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"the page lacks the marks {BEGIN!r} and {END!r}")
    return head + begin + "\n" + table() + "\n" + end + tail


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(within(page.read_text("utf-8")), "utf-8")
