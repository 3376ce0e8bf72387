"""What of a narrative leaves for the large model, and whether its answer may then settle a case. Pure.

Personal data is taken out (`domain/privacy`); a text that is not understood well enough does not leave at all. An answer *no* may settle
only a case whose narrative was read whole: nothing cut, no file beside it that nobody read, and nothing in it that could be an order
to a machine (`instructions.py`). Each of these leaves the question open, so that a person decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from vigimesh.domain.cascade.instructions import instructions_in
from vigimesh.domain.privacy.plain_text import plain
from vigimesh.domain.privacy.redaction import Known, Redacted, Table, Unsafe, known_of, redact
from vigimesh.domain.safety.grade import TELLING_CHARACTERS
from vigimesh.events.case import Case

#: Characters of a redacted narrative that are sent: twice the longest of eight years of VAERS. So many bytes, each counted as a token
#: (`tokens.py`), with the longest facts and the prompt keep the worst case of a call within the budget of a case that the shipped cards set.
MAX_SENT = 8_000
#: Texts remembered: a verb reads the narrative of a case when it asks, when it looks at the answer and when it decides, and a lane has
#: a hundred cases under way.
_REMEMBERED = 128
#: What is told where only structured facts are sent.
FACTS_ALONE = "only structured facts were sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """What leaves of a narrative: `text` without personal data (nothing: facts alone), and how many characters were cut off it.

    `held` says why an answer *no* settles nothing, and is empty when it may; it holds no text of the case. `instructions` are the kinds of
    what could be an order to a machine. `table` undoes the redaction and never leaves.
    """

    text: str = ""
    left_out: int = 0
    held: str = FACTS_ALONE
    instructions: tuple[str, ...] = ()
    table: Table = field(default_factory=Table)


def leaving(case: Case, text: str, products: Iterable[str], terms: Iterable[str]) -> Leaving:
    """Return what leaves of the narrative `text` of a case.

    `products` are names that the knowledge base knows, `terms` the coded terms that go along and are looked through as well.
    """
    told = text.strip()
    if len(told) < TELLING_CHARACTERS:
        return Leaving(held="there is no narrative that tells anything")
    made = _redacted(told, known_of(case, products))
    if not isinstance(made, Redacted):
        return Leaving(held=f"the narrative was not sent: {made.reason}")
    # In its plain form: what was made plain for the model is read plain here.
    found = instructions_in("\n".join((plain(told), *terms)))
    sent = _cut(made.text)
    left_out = len(made.text) - len(sent)
    return Leaving(
        text=sent, left_out=left_out, held=_held(case, left_out, found), instructions=found, table=made.table
    )  # fmt: skip


@lru_cache(maxsize=_REMEMBERED)
def _redacted(text: str, known: Known) -> Redacted | Unsafe:
    return redact(text, known)


def _cut(text: str) -> str:
    """Return the beginning of a text, up to a blank, so that no mark is cut in two."""
    if len(text) <= MAX_SENT:
        return text
    end = max(text.rfind(blank, 0, MAX_SENT) for blank in " \n")
    return text[: end if end > 0 else MAX_SENT].rstrip()


def _held(case: Case, left_out: int, instructions: tuple[str, ...]) -> str:
    reasons = []
    if instructions:
        reasons.append(f"words in it could be an order to a machine ({', '.join(instructions)})")
    if left_out:
        reasons.append(f"its last {left_out} characters were not sent")
    if case.attachments:
        reasons.append(f"{len(case.attachments)} files that came with it were not read")
    return "; ".join(reasons)
