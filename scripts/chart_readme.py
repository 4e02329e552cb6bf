"""Print the README of the chart: what values.yaml says of each value, as a table.

For scripts/render-manifests. A comment that begins with `# --` describes the value below it.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

HEAD = """\
# Chart `dynamic-toolset`

Finds the observability backends of a cluster, proves them, and writes the toolset file that HolmesGPT reads:
by itself, or as the sidecar in HolmesGPT's pod. How to install it: `docs/install.md` of the project.

```console
$ helm install dynamic-toolset . -n kubernaut-system --create-namespace
```

Rendered from `values.yaml` by `scripts/render-manifests`.

| value | default | |
|---|---|---|
"""
KEY = re.compile(r"( *)([A-Za-z]\w*):")


def described(text: str) -> Iterator[tuple[str, str]]:
    """Path and description of each value."""
    path: list[str] = []
    words: list[str] = []
    for line in text.splitlines():
        comment = line.strip().removeprefix("#") if line.strip().startswith("#") else None
        if comment is not None:
            comment = comment.strip()
            words = (
                [comment.removeprefix("-- ")]
                if comment.startswith("-- ")
                else [*words, comment]
                if words
                else []
            )
            continue
        if key := KEY.match(line):
            path = [*path[: len(key[1]) // 2], key[2]]
            if words:
                yield ".".join(path), " ".join(words)
        words = []


def default(values: Mapping[str, Any], path: str) -> str:
    """The default of a value, as JSON."""
    value: Any = values
    for key in path.split("."):
        value = value[key]
    return json.dumps(value)


def main(file: str) -> None:
    """Print the README for a values.yaml."""
    text = Path(file).read_text()
    values = yaml.safe_load(text)
    rows = (f"| `{path}` | `{default(values, path)}` | {words} |" for path, words in described(text))
    print(HEAD + "\n".join(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
