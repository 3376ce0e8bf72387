"""What the tagger of fields is compared with: a floor of a dictionary with the tools' rules, and token-wise logistic regression.

Both learn from the same sentences as the tagger did. The floor: every drug and reaction marked in training, wherever it stands, the longest
first; ages, doses and times are those that the tools read (`domain/safety`). The peer: word, affixes, shape and two words to either side,
logistic regression of scikit-learn over the same labels, each token by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from vigimesh.app.train.fit import needed
from vigimesh.app.train.spans import Marked, Span, labels_of
from vigimesh.domain.cascade.extraction_chain import FIELDS
from vigimesh.domain.cascade.extraction_features import Piece, pieces
from vigimesh.domain.safety.ages import ages
from vigimesh.domain.safety.doses import doses
from vigimesh.domain.safety.durations import durations

#: Fields that a dictionary can hold; the others are read by rule.
IN_DICTIONARY = ("drug", "reaction")
#: Letters of a dictionary's entry at least: shorter ones are found inside of anything.
LEAST_LETTERS = 3
#: Steps of the peer's solver: enough for it to end by itself.
_STEPS = 300

Spans = frozenset[Span]


def floor(train: Sequence[Marked], judged: Sequence[Marked]) -> list[Spans]:
    """Return what dictionary and rules find in each sentence."""
    known: dict[str, str] = {}
    for one in train:
        for field, first, last in sorted(one.spans):
            if field in IN_DICTIONARY and last - first >= LEAST_LETTERS:
                known.setdefault(one.text[first:last].casefold(), field)
    longest = sorted(known, key=lambda entry: (-len(entry), entry))
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)", re.IGNORECASE)
    return [_ruled(one.text) | _known(pattern, known, one.text) for one in judged]


def _known(pattern: re.Pattern[str], known: Mapping[str, str], text: str) -> Spans:
    return frozenset(
        (field, found.start(), found.end())
        for found in pattern.finditer(text)
        if (field := known.get(found.group().casefold()))
    )


def _ruled(text: str) -> Spans:
    old = frozenset(("age", one.start, one.end) for one in ages(text))
    given = frozenset(("dose", one.start, one.end) for one in doses(text))
    taken = [(first, last) for _, first, last in old | given]
    lasting = (one for one in durations(text) if not any(a < one.end and one.start < b for a, b in taken))
    return old | given | frozenset(("time", one.start, one.end) for one in lasting)


def peer(train: Sequence[Marked], judged: Sequence[Marked]) -> list[Spans]:
    """Return what token-wise logistic regression finds in each sentence."""
    held = [(piece, labels_of(one.spans, piece.spans)) for one in train for piece in pieces(one.text)]
    vectors = needed("sklearn.feature_extraction:DictVectorizer")()
    there = vectors.fit_transform([seen for piece, _ in held for seen in _seen(piece)])
    regression = needed("sklearn.linear_model:LogisticRegression")(max_iter=_STEPS, C=1.0)
    regression.fit(there, np.array([label for _, labels in held for label in labels]))

    def predict(piece: Piece) -> list[int]:
        found: list[int] = regression.predict(vectors.transform(_seen(piece))).tolist()
        return found

    return [
        frozenset(span for piece in pieces(one.text) for span in _spans(piece, predict(piece)))
        for one in judged
    ]


def _seen(piece: Piece) -> list[dict[str, str | bool]]:
    words = [word.lower() for word in piece.words]
    found = []
    for at, word in enumerate(piece.words):
        seen: dict[str, str | bool] = {
            "word": words[at], "ends": words[at][-3:], "ends_two": words[at][-2:], "begins": words[at][:3],
            "upper": word.isupper(), "title": word.istitle(), "digit": word[0].isdigit(),
        }  # fmt: skip
        for offset in (-2, -1, 1, 2):
            seen[f"word{offset:+d}"] = words[at + offset] if 0 <= at + offset < len(words) else ""
        found.append(seen)
    return found


def _spans(piece: Piece, labels: Sequence[int]) -> list[Span]:
    """Return the spans of labels of tokens; one inside that follows none of its field begins one."""
    found: list[Span] = []
    before = 0
    for (first, last), label in zip(piece.spans, labels, strict=True):
        field = FIELDS[(label - 1) // 2] if label else ""
        goes_on = label and label % 2 == 0 and before and (before - 1) // 2 == (label - 1) // 2
        if goes_on:
            found[-1] = (field, found[-1][1], last)
        elif label:
            found.append((field, first, last))
        before = label
    return found
