"""Documents: whether one tells of an event that happened to somebody, so that it is not only a document, and whether it asks for an answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

from vigimesh.domain.safety.context import polarity
from vigimesh.domain.safety.grade import AMBIGUOUS, ILLEGIBLE, UNKNOWN_GRADE, Graded
from vigimesh.domain.safety.text_seriousness import Hit, lowered

#: Words judged in one document; more of them say nothing new.
MAX_JUDGED = 200

_PERSON = r"(?:patients?|subjects?|participants?|volunteers?|customers?|users?|woman|man|girl|boy|child|infant|caller|nurse|he|she|someone|year-old)"
_EVENT = re.compile(
    rf"\b{_PERSON}\b[^.;\n]{{0,40}}\b(?:experienced|developed|suffered|had|felt|reported|complained of|presented with"
    r"|became|vomited|fainted|collapsed|recovered)\b"
    r"|\b(?:an|one|the|this|two|three|several|possible|suspected) (?:serious )?(?:adverse|side|unwanted)[ -]"
    r"(?:drug )?(?:events?|reactions?|effects?|experiences?)\b"
    r"|\badverse (?:event|reaction)s? (?:was|were|has been|have been|occurred|in)\b"
    r"|\bcase report\b|\bwe report\b"
)

#: What asks for an answer: a question mark that ends words (none in an address of the web), or words that ask.
_ASKS = re.compile(
    r"\?(?![\w/&=%])"
    r"|\bplease\b[^.;!?\n]{0,60}\b(?:confirm|advise|send|reply|respond|answer|provide|share|tell|let (?:us|me) know"
    r"|acknowledge|clarify|inform|return|review|approve)\b"
    r"|\b(?:could|can|would) you\b|\bkindly\b"
    r"|\b(?:awaiting|await|looking forward to|look forward to) (?:your|an?) (?:reply|answer|response|confirmation)\b"
    r"|\bwe (?:ask|request|need to know|would like to know)\b|\basks? (?:for|to confirm|whether|us to)\b"
)
#: Places told of one document.
MAX_ASKED = 12


def asks_reply(text: str) -> tuple[str, ...]:
    """Return the places of a document that ask for an answer, as `start-end:words`, at most `MAX_ASKED`; none when nothing asks.

    It errs towards a reply: a question that the writer answers himself counts.
    """
    low = lowered(text)
    found = islice(_ASKS.finditer(low), MAX_ASKED)
    return tuple(f"{one.start()}-{one.end()}:{text[one.start() : one.end()]}" for one in found)


def tells_of_event(text: str, hits: Sequence[Hit], *, legible: bool = True) -> Graded:
    """Return grade 0 for a document that tells of no event, else *unknown* (3) with the flag `event_in_document`.

    A word of a seriousness criterion that is stated or unclear is enough, and so are words that tell what happened to
    somebody: GVP VI.C.2.2.3 (literature) and VI.B.1 want such cases found. It errs towards a person. Of a text that is not
    `legible` nothing is said.
    """
    told = sorted({hit.criterion for hit in hits if hit.polarity in ("stated", "ambiguous")})
    if told:
        reason = "the document tells of " + ", ".join(told) + " (text)"
    elif _event(lowered(text)):
        reason = "the document tells what happened to somebody (text)"
    elif not legible:
        return Graded(serious="unknown", grade=UNKNOWN_GRADE, reasons=(ILLEGIBLE,), flags=(AMBIGUOUS,))
    else:
        return Graded(serious="no", grade=0, reasons=("the document tells of no event (text)",))
    return Graded(serious="unknown", grade=UNKNOWN_GRADE, reasons=(reason,), flags=("event_in_document",))


def _event(low: str) -> bool:
    for judged, found in enumerate(_EVENT.finditer(low), start=1):
        if judged > MAX_JUDGED or polarity(low, found.start(), found.end(), verb=False) in (
            "stated",
            "ambiguous",
        ):
            return True
    return False
