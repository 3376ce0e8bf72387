"""Fields in a text: the chain against trying every way, places that are the text's own, files that are checked, and any text at all."""

from __future__ import annotations

from functools import cache
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.span_samples import lines
from vigimesh.app.train.fit_chain import ChainRecipe, fit_chain
from vigimesh.app.train.spans import Marked
from vigimesh.domain.cascade.extraction import Tagger, _batches, extract, extract_many
from vigimesh.domain.cascade.extraction_chain import FIELDS, LABELS, OUTSIDE, Chain, allowed, best, sums
from vigimesh.domain.cascade.extraction_features import (
    BUCKETS,
    MAX_CHARACTERS,
    MAX_PIECE,
    TEMPLATES,
    buckets,
    pieces,
    told,
)
from vigimesh.domain.cascade.extraction_files import read_tagger, write_chain, write_tagger_header
from vigimesh.errors import Misconfigured
from vigimesh.events.ids import digest

CHANCE = np.random.default_rng(20_261_129)


@cache
def tagger() -> Tagger:
    """Return a tagger of our own sentences: what it knows is told by its words."""
    marked = [
        Marked(one["context"], frozenset(_spans(one)), digest(one["context"].encode())[:32]) for one in lines(80, "train")
    ]  # fmt: skip
    chain = fit_chain(marked, ChainRecipe(penalty=0.5, steps=40, tokens=1))
    return Tagger(digest="d", chain=chain, seen=frozenset({7}))


def _spans(one: dict[str, object]) -> list[tuple[str, int, int]]:
    from vigimesh.app.train import spans

    (event,) = one["annotations"][0]["events"]  # type: ignore[index]  # our own line
    return list(spans._spans(event, str(one["context"])))


def ways(size: int) -> list[tuple[int, ...]]:
    may = allowed()
    return [
        way
        for way in product(range(len(LABELS)), repeat=size)
        if may[-1, way[0]] and all(may[a, b] for a, b in pairwise(way))
    ]


def chain() -> Chain:
    return Chain(
        np.zeros((1, len(LABELS)), dtype=np.int8),
        CHANCE.integers(-40, 40, (len(LABELS) + 1, len(LABELS))).astype(np.int16),
        0.05,
    )


def value(one: Chain, scores: np.ndarray[tuple[int, ...], np.dtype[np.int64]], way: tuple[int, ...]) -> int:
    before = (len(LABELS), *way)
    return sum(
        int(one.steps[a, b]) + int(scores[at, b]) for at, (a, b) in enumerate(zip(before, way, strict=False))
    )


def test_the_best_way_is_the_best_of_all_and_the_sums_are_those_of_all() -> None:
    for _ in range(5):
        one = chain()
        sizes = np.array([1, 4, 3])
        scores = CHANCE.integers(-60, 60, (3, 4, len(LABELS)))
        labels = best(one, scores, sizes)
        steps = np.where(allowed(), one.steps * one.unit, -1e8)
        found = sums(steps, (scores * one.unit).astype(np.float64), sizes)
        for row, size in enumerate(sizes.tolist()):
            values = {way: value(one, scores[row], way) for way in ways(size)}
            assert value(one, scores[row], tuple(labels[row, :size])) == max(values.values())
            assert set(labels[row, size:].tolist()) <= {-1}
            total = np.log(sum(np.exp(score * one.unit) for score in values.values()))
            assert found.total[row] == pytest.approx(total)
            share = sum(np.exp(v * one.unit - total) for way, v in values.items() if way[size // 2] == 3)
            at = size // 2
            told_share = np.exp(found.forward[row, at, 3] + found.backward[row, at, 3] - found.total[row])
            assert told_share == pytest.approx(share)


def test_a_fields_probability_is_the_share_of_ways_that_have_exactly_it() -> None:
    held = tagger()
    text = "She had hiccups."
    (piece,) = pieces(text)
    scores = held.chain.weights[buckets([piece])].astype(np.int64).sum(axis=1)
    values = {way: value(held.chain, scores, way) * held.chain.unit for way in ways(len(piece.words))}
    top = max(values.values())
    total = sum(np.exp(one - top) for one in values.values())
    for field in extract(held, text).found:
        first = next(at for at, span in enumerate(piece.spans) if span[0] == field.start)
        last = next(at for at, span in enumerate(piece.spans) if span[1] == field.end)
        begin = 1 + 2 * FIELDS.index(field.name)
        wanted = (begin, *([begin + 1] * (last - first)))
        share = sum(
            np.exp(one - top)
            for way, one in values.items()
            if way[first : last + 1] == wanted and (*way, OUTSIDE)[last + 1] != begin + 1
        )
        assert field.probability == pytest.approx(share / total, abs=1e-4)
    assert [field.name for field in extract(held, text).found] == ["reaction"]


def test_fields_are_found_where_they_stand_and_say_why() -> None:
    text = "A 33-year-old man testzz had loud ears 4 days after 15 mg of nosuchine."
    found = extract(tagger(), text).found
    assert [(one.name, text[one.start : one.end]) for one in found] == [
        ("age", "33-year-old"), ("reaction", "loud ears"), ("time", "4 days"), ("dose", "15 mg"), ("drug", "nosuchine"),
    ]  # fmt: skip
    assert all(0.5 < one.probability <= 1 for one in found)
    drug = found[-1]
    assert any("nosuchine" in term.text or "of" in term.text or "ine" in term.text for term in drug.terms)
    assert max(term.weight for term in drug.terms) > 0


def test_the_terms_are_what_the_weights_say() -> None:
    """The heaviest term of a field is a sum of weights of its own features, against those of outside."""
    text = "A 33-year-old man had hiccups."
    (piece,) = pieces(text)
    columns = buckets([piece])
    for field in extract(tagger(), text).found:
        tokens = [at for at, (a, b) in enumerate(piece.spans) if field.start <= a and b <= field.end]
        begin = 1 + 2 * FIELDS.index(field.name)
        every: dict[str, list[float]] = {}
        for at in tokens:
            label = begin if at == tokens[0] else begin + 1
            for template in range(1, len(TEMPLATES)):
                row = tagger().chain.weights[columns[at, template]].astype(int)
                every.setdefault(told(piece, at, template), []).append(
                    (row[label] - row[OUTSIDE]) * tagger().chain.unit
                )
        heaviest = max(abs(one) for weights in every.values() for one in weights)
        assert abs(field.terms[0].weight) >= heaviest - 1e-9
        assert {term.text for term in field.terms} <= every.keys()


@given(st.lists(st.text(max_size=60), max_size=6))
def test_any_text_is_fine_and_its_neighbours_change_nothing(texts: list[str]) -> None:
    held = tagger()
    together = extract_many(held, texts)
    assert together == [extract(held, text) for text in texts]
    for text, fields in zip(texts, together, strict=True):
        places = [(one.start, one.end) for one in fields.found]
        assert places == sorted(places)
        assert all(a < b <= len(text) and text[a:b] == text[a:b].strip() for a, b in places)
        assert all(first[1] <= second[0] for first, second in pairwise(places))


def test_hostile_texts_end_bounded() -> None:
    for text in ("a" * 5_000_000, "1" * 100_000, "\ud800 half a pair", "\x00\x00 " * 50, "hiccups " * 20_000):
        fields = extract(tagger(), text)
        assert fields.whole == (len(text) <= MAX_CHARACTERS)
        assert all(one.end <= MAX_CHARACTERS for one in fields.found)
    assert max(len(piece.words) for piece in pieces("hiccups " * 2_000)) == MAX_PIECE


def test_what_is_read_at_once_is_bounded_by_characters() -> None:
    texts = ["x" * 100, "y" * 5 * MAX_CHARACTERS, *["z" * (MAX_CHARACTERS // 2)] * 9, ""]
    batches = list(_batches(texts))
    assert [text for batch in batches for text in batch] == texts
    assert all(
        sum(min(len(text), MAX_CHARACTERS) for text in batch) <= 4 * MAX_CHARACTERS for batch in batches
    )
    assert len(batches) == 2
    assert list(_batches([])) == []


@given(st.text(max_size=200))
def test_tokens_are_the_texts_own_and_in_order(text: str) -> None:
    found = [pair for piece in pieces(text) for pair in zip(piece.spans, piece.words, strict=True)]
    assert all(text[a:b] == word and word.strip() == word for (a, b), word in found)
    ends = [place for (a, b), _ in found for place in (a, b)]
    assert ends == sorted(ends)
    covered = {at for (a, b), _ in found for at in range(a, b)}
    assert not any(one.isalnum() for at, one in enumerate(text) if at not in covered)


def test_digits_are_alike_and_case_is_a_shape() -> None:
    one, two, three = (buckets(pieces(text)) for text in ("took 15 mg", "took 38 mg", "TOOK 15 mg"))
    assert (one == two).all()
    assert (one != three).any()
    assert one.shape == (3, len(TEMPLATES))
    assert 0 <= one.min() <= one.max() < BUCKETS


def test_what_was_written_is_read_and_one_bit_is_enough() -> None:
    tables = write_chain(tagger().chain, frozenset({"0" * 15 + "7" + "0" * 16}))
    header = write_tagger_header("extraction", tables, {"limits": ["none"]})
    read = read_tagger(header, tables, wanted=digest(header))
    assert (read.chain.weights == tagger().chain.weights).all()
    assert (read.chain.steps == tagger().chain.steps).all()
    seen = frozenset({7})
    assert (read.chain.unit, read.seen, read.digest) == (tagger().chain.unit, seen, digest(header))
    assert write_chain(read.chain, frozenset({"0" * 15 + "7" + "0" * 16})) == tables
    for at in (0, len(tables) // 2, len(tables) - 1):
        broken = tables[:at] + bytes([tables[at] ^ 1]) + tables[at + 1 :]
        with pytest.raises(Misconfigured, match="VM-2201"):
            read_tagger(header, broken)
    for bad in (b"", b"{}", header[:-9], header.replace(b'"B-dose"', b'"B-date"')):
        with pytest.raises(Misconfigured, match="VM-2201"):
            read_tagger(bad, tables)
    with pytest.raises(Misconfigured, match="VM-2201"):
        read_tagger(header, tables, wanted="0" * 64)


def test_numbers_that_do_not_fit_are_refused() -> None:
    fine = tagger().chain
    for weights, steps, unit in (
        (fine.weights[:, :3], fine.steps, 1.0),
        (fine.weights.astype(np.int16), fine.steps, 1.0),
        (fine.weights, fine.steps[1:], 1.0),
        (fine.weights, fine.steps, float("nan")),
    ):
        with pytest.raises(ValueError, match=r"weights|steps|unit"):
            Chain(weights, steps, unit)  # type: ignore[arg-type]  # wrong on purpose
