"""Pairs of questions through the look-up with its cache: one's answer is never served for the other, a paraphrase's often is."""

from __future__ import annotations

from random import Random

from question_pairs import HELD, adversarial, paraphrases
from retrieval_cache import Labels, hits, lookup_of
from vigimesh.adapters.memory.answers import MemoryAnswers
from vigimesh.loop.outcome import Need


def asked(question: str) -> Need:
    return Need(kind="search", key=question, limit=3)


def test_no_minimal_pair_is_served_from_the_cache() -> None:
    """Failure 32: opposite or unrelated questions were served from caches. Here through the cache itself, not the guards alone."""
    assert hits(adversarial(600, Random(32))) == {}


def test_paraphrases_are_served() -> None:
    assert hits(paraphrases(200, Random(32), HELD)).total() >= 0.25 * 200


def test_a_minimal_pair_is_found_where_a_guard_is_missing() -> None:
    """The pairs find a cache that takes questions of one scope for alike."""

    def served(one: str, other: str) -> bool:
        lookup = lookup_of(Labels(), MemoryAnswers())
        lookup.sign = lambda *_: "alike"
        lookup.answers([asked(one)])
        return bool(lookup.answers([asked(other)])[0]["level"] == "hot")

    assert sum(served(pair.one, pair.other) for pair in adversarial(120, Random(32))) > 60
