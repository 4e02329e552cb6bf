"""Reads names word by word: what a Service and its labels call the workload, and what follows the name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

Words = tuple[str, ...]

_SEPARATORS = re.compile(r"[^a-z0-9]+")

NEUTRAL = frozenset(
    """
    server service svc headless hl operated internal external public private local nodeport lb loadbalancer
    single standalone binary cluster clusters distributed simple scalable ha stack db database node nodes
    master primary main leader rw ro replica replicas secondary slave repl read reader follower bootstrap broker
    brokers seed seeds client clients coordinating coordinator data ingest hot warm cold api http https rest web
    frontend front query querier queryfrontend gateway nginx discovery pool nodeset es all in one allinone
    system prod production dev development staging stage test default v1 v2 v3 k8s kube kubernetes monitoring
    logging logs tracing traces metrics observability o11y community enterprise oss ce ee chart only
    """.split()
)
"""Words behind a product's name that say which part, or whose, it is, and not that it is something else."""


def split(text: str) -> Words:
    """``text`` in words: lower case letters and digits between anything else."""
    return tuple(word for word in _SEPARATORS.split(text.lower()) if word)


def find(words: Sequence[str], phrase: Words) -> int:
    """Where ``phrase`` stands in ``words``; -1 where it does not."""
    length = len(phrase)
    for start in range(len(words) - length + 1):
        if tuple(words[start : start + length]) == phrase:
            return start
    return -1


def is_neutral(word: str) -> bool:
    """Whether a word behind a product's name leaves it the product: see :data:`NEUTRAL`."""
    return word in NEUTRAL or word.isdigit() or (len(word) == 1)


def stem(words: Sequence[str], parts: Iterable[str] = ()) -> Words:
    """The name without the words at its end that only name a part of the installation."""
    extra = frozenset(parts)
    end = len(words)
    while end > 1 and (is_neutral(words[end - 1]) or words[end - 1] in extra):
        end -= 1
    return tuple(words[:end])
