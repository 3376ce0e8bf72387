"""A draft reply to a mail: what the large tier is asked for, what of its answer is taken, and the template without it. Pure.

Each statement cites what it rests on: passages that were looked up, the mail, or what the tools found. One that cites nothing, or what was not
given, or a figure that stands in nothing it cites, spoils the whole answer. Mail and passages leave without personal data. A draft decides nothing: what could be
an order to a machine in a mail, which speaks to its reader by nature, is told to the person who reads the draft.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from vigimesh.domain.cascade.narrative import leaving
from vigimesh.domain.cascade.opinion import MAX_NAMES, Model, product_name
from vigimesh.domain.cascade.prompts import shipped_prompt
from vigimesh.domain.cascade.question import AnswerSchema, Question, schema_of
from vigimesh.domain.privacy.redaction import Known, Redacted, Table, redact, restore
from vigimesh.events.case import Case
from vigimesh.events.classes import Finding, Triage
from vigimesh.events.drafts import Draft, Statement
from vigimesh.events.knowledge import Passage

#: The prompt, its step, and the call that asks again when its answer could not be used.
PROMPT, DRAFTED, DRAFTED_AGAIN = "draft", "draft", "draft_repair"
#: What a statement may cite besides passages.
MAIL, TOOLS = "mail", "tools"
#: Passages of one question and of one template: what a person checks at one sitting.
MAX_PASSAGES, MAX_QUOTED = 6, 3
#: Characters of a mail that are sent: with passages and prompt the worst case of a call stays within a case's budget in the shipped card.
MAX_MAIL = 6_000
#: Statements of one answer, characters of one, ids that one cites, characters of an answer that is read (four times its tokens).
MAX_STATEMENTS, MAX_TEXT, MAX_CITES, MAX_ANSWER_CHARACTERS = 6, 600, 8, 3_600
#: Characters of a passage that the template quotes.
QUOTED = 300
#: The flag of a case with a draft: no machine ends what a person must sign.
FLAG = "reply_drafted"
#: The flag of a document that tells of an event.
_EVENT = "event_in_document"
#: What every mail has of it: it speaks to its reader, of reports and their handling, with addresses and quotes.
_MAILS = frozenset({"to the reader", "of the report", "markup"})
_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")
_MARK = re.compile(r"\[[A-Z]+-\d+\+?\]")


class _Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str
    cites: tuple[str, ...]


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    statements: tuple[_Said, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a draft may rest on, as it leaves: the mail, what tools found, passages by id with their places in documents.

    `table` puts personal data back into what comes home, and never leaves. `held` says why nothing may be asked; empty when it may.
    `orders` are the kinds of what could be an order to a machine in the mail.
    """

    mail: str
    left_out: int
    tools: Mapping[str, str]
    passages: Mapping[str, tuple[Passage, str]]
    table: Table
    held: str = ""
    orders: tuple[str, ...] = ()

    def text_of(self, cite: str) -> str:
        """Return what stands behind an id, as it was sent. Raises `KeyError` for one that was not given."""
        if cite in (MAIL, TOOLS):
            return self.mail if cite == MAIL else json.dumps(dict(self.tools))
        return f"{self.passages[cite][0].section}\n{self.passages[cite][1]}"

    def place_of(self, cite: str) -> str:
        """Return an id as an event has it: `document@version#start-end` of a passage."""
        return cite if cite in (MAIL, TOOLS) else place_of(self.passages[cite][0])


def place_of(passage: Passage) -> str:
    """Return a passage as a citation that opens at its place."""
    return f"{passage.document_id}@{passage.version}#{passage.start}-{passage.end}"


def sources_of(case: Case, text: str, findings: Sequence[Finding], passages: Sequence[Passage]) -> Sources:
    """Return what a draft about a mail may rest on; `text` is the mail. Names in a passage are blanked, and one that must not leave is left out."""
    # A mail names products, not fields: what the knowledge base calls its documents is no person.
    products = [product_name(one, passages) for one in case.products[:MAX_NAMES]]
    products += [one.section.partition(" > ")[0].partition(":")[0] for one in passages]
    left = leaving(case, f"{case.title}\n\n{text}", filter(None, products), ())
    given: dict[str, tuple[Passage, str]] = {}
    for one in dict.fromkeys(passages):
        made = redact(one.text, Known())
        if isinstance(made, Redacted) and len(given) < MAX_PASSAGES:
            given[f"P{len(given) + 1}"] = (one, _MARK.sub("[...]", made.text))
    tools = {one.step: one.result for one in findings if re.fullmatch(r"[a-z][a-z_, ]{0,59}", one.result)}
    return Sources(
        mail=left.text[:MAX_MAIL], left_out=left.left_out + max(0, len(left.text) - MAX_MAIL), tools=tools, passages=given,
        table=left.table, orders=tuple(kind for kind in left.instructions if kind not in _MAILS), held="" if left.text else left.held,
    )  # fmt: skip


def draft_question(model: Model, case: Case, sources: Sources) -> Question:
    """Return the question for a draft, the same for the same mail, findings and passages.

    Raises `Refused` VM-2101 for what cannot be asked, `Misconfigured` VM-2301 without a prompt.
    """
    prompt = shipped_prompt(PROMPT)
    told = {
        "kind": case.document_kind, "mail": {"id": MAIL, "text": sources.mail, "characters_left_out": sources.left_out},
        "tools": {"id": TOOLS, "found": dict(sources.tools)},
        "passages": [
            {"id": name, "document": one.document_id, "section": one.section, "text": text}
            for name, (one, text) in sources.passages.items()
        ],
    }  # fmt: skip
    return prompt.asked(
        DRAFTED, told, model.name, model.deadline_s, _schema(prompt.schema, (MAIL, TOOLS, *sources.passages))
    )


def draft_again(question: Question) -> Question:
    """Return the question that asks once more, after an answer that could not be used: nothing of that answer is in it."""
    return shipped_prompt(PROMPT).asked_again(DRAFTED_AGAIN, question)


def _schema(base: AnswerSchema, ids: Sequence[str]) -> AnswerSchema:
    """Return the schema of answers that can cite nothing but what is given."""
    value = schema_of(base)
    value["properties"]["statements"]["items"]["properties"]["cites"]["items"]["enum"] = list(ids)
    return AnswerSchema(base.name, json.dumps(value, sort_keys=True))


def read_draft(text: str, sources: Sources, by: str, prompt: str) -> Draft | None:
    """Return the draft in an answer, personal data put back, or `None` when any statement of it does not hold.

    1. It matches the schema, within its bounds. 2. Each statement cites at least one source, and only what was given. 3. Each figure of a
    statement stands in what it cites. 4. A mark of personal data stands in the mail as it was sent.
    """
    if len(text) > MAX_ANSWER_CHARACTERS:
        return None
    try:
        said = msgspec.json.decode(text, type=_Answer).statements
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    if not 1 <= len(said) <= MAX_STATEMENTS or not all(_holds(one, sources) for one in said):
        return None
    statements = [
        Statement(text=restore(one.text.strip(), sources.table), cites=tuple(dict.fromkeys(map(sources.place_of, one.cites))))
        for one in said
    ]  # fmt: skip
    return Draft(statements=tuple(statements), by=by, prompt=prompt)


def _holds(said: _Said, sources: Sources) -> bool:
    given = {MAIL, TOOLS, *sources.passages}
    if not said.text.strip() or len(said.text) > MAX_TEXT or not 1 <= len(said.cites) <= MAX_CITES:
        return False
    if not given.issuperset(said.cites):
        return False
    cited = "\n".join(map(sources.text_of, said.cites))
    marks = _MARK.findall(said.text)
    figures = _FIGURE.findall(_MARK.sub(" ", said.text))
    return set(figures) <= set(_FIGURE.findall(cited)) and all(one in sources.mail for one in marks)


def template(case: Case, triage: Triage, passages: Sequence[Passage]) -> Draft:
    """Return the draft that needs no model: what the tools found, and the passages that may answer, word for word."""
    return Draft(statements=(courtesy(case), *_template(triage, passages)))


def courtesy(case: Case) -> Statement:
    """Return the first line of every draft."""
    about = f' "{" ".join(case.title.split())[:200]}"' if case.title else ""
    received = f", received on {case.first_received_on[:10]}" if case.first_received_on[:1].isdigit() else ""
    return Statement(text=f"Thank you for your message{about}{received}.")


def _template(triage: Triage, passages: Sequence[Passage]) -> Iterator[Statement]:
    if _EVENT in triage.flags:
        # The four minimum criteria of a valid case: GVP VI.B.2, ICH E2D 4.
        yield Statement(
            text=(
                "Your message may tell of an adverse event. Please tell us what you know of the patient (initials, age or sex), of who "
                "reported it, of the product with its lot and dates, and of the reaction with its onset and outcome."
            ),
            cites=(TOOLS,),
        )
    else:
        yield Statement(text="A colleague will answer what you ask.", cites=(MAIL,))
    for one in list(dict.fromkeys(passages))[:MAX_QUOTED]:
        quoted = " ".join(one.text.split())
        shown = quoted if len(quoted) <= QUOTED else quoted[:QUOTED].rsplit(" ", 1)[0] + " ..."
        yield Statement(
            text=f'{one.document_id}, version {one.version}, {one.section}: "{shown}"', cites=(place_of(one),)
        )
