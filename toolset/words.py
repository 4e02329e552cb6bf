"""Reads names word by word: what a Service and its labels call the workload, and what follows the name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files

from toolset.yaml_source import parse

Words = tuple[str, ...]

_SEPARATORS = re.compile(r"[^a-z0-9]+")

_WORDS = parse(files("toolset").joinpath("parts.yaml").read_text("utf-8")).data

PARTS: frozenset[str] = frozenset(_WORDS["parts"])
"""Words behind a product's name that say which part of it is meant."""

NEUTRAL = PARTS | frozenset(_WORDS["owners"])
"""Words behind a product's name that leave it the product: they say which part of it, or whose."""


@lru_cache(maxsize=4096)
def split(text: str) -> Words:
    """``text`` in words: lower case letters and digits between anything else. Labels repeat: kept a while."""
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


def stem(words: Sequence[str], parts: frozenset[str]) -> Words:
    """The name without the words at its end that are of ``parts``, or numbers."""
    end = len(words)
    while end > 1 and (words[end - 1] in parts or words[end - 1].isdigit()):
        end -= 1
    return tuple(words[:end])
