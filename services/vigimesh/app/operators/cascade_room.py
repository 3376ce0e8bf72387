"""What the commands about the live sample do: take labels in, look at the gates, move one, say how all stands."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from vigimesh.adapters.kafka.desks.cascade import Held, Make, Said
from vigimesh.app.operators.cascade_records import (
    Doer,
    Entry,
    daily_record,
    entries,
    gate_records,
    gate_words,
    label_records,
)
from vigimesh.app.operators.label_file import Given, labels_of, rows_of
from vigimesh.clock import Clock
from vigimesh.domain.cascade.live import (
    Audited,
    Look,
    Tally,
    Terms,
    begun_anew,
    joined,
    moved,
    next_look,
    projected,
    shut,
    since,
    spent,
    tallied,
)
from vigimesh.domain.cascade.model import Model
from vigimesh.domain.cascade.sample import key_of
from vigimesh.domain.cascade.small import certified, no_certificate
from vigimesh.domain.policy.cards import Card
from vigimesh.errors import Refused
from vigimesh.events.codec import Codec
from vigimesh.events.sampling import CaseLabelled, CasePlace, GateMoved
from vigimesh.loop.broker import Write


class Desk(Protocol):
    """Reads what was drawn, labelled and moved, and writes upon it."""

    def held(self) -> Held:
        """Return all of it."""
        ...

    def audits(self, begin: datetime) -> Iterator[Said]:
        """Yield what operators left in the audit since a moment."""
        ...

    async def give(self, make: Make) -> None:
        """Write what `make` says, in one transaction."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one place stands: its gate, what its labels come to, and what it is held to (None: its model is not the one in use)."""

    place: CasePlace
    gate: GateMoved | None
    tally: Tally
    terms: Terms | None

    @property
    def words(self) -> str:
        """The daily line: what recall is shown, the misses, the price of the sample, and what is left until a look."""
        tally, terms = self.tally, self.terms
        if terms is None:
            return "its model is not in use: nothing counts there any more"
        behind = f"; waits for the label of {tally.waits_for}" if tally.waits_for else ""
        return (
            f"{gate_words(self.gate) or 'nobody has looked'}; recall >= {tally.bound(terms.delta):.4f} at {float(1 - terms.delta):.0%} of {float(terms.recall):g} "
            f"({tally.serious} serious, {tally.missed} missed); {tally.labelled} of {tally.drawn} audits labelled, "
            f"spent {self.money(tally.spent_micro)} on what the tier settled of them, {self.money(tally.price_micro)} behind an open gate{self._ahead}{behind}"
        )

    @property
    def left(self) -> int | None:
        """How many audits are left until the next look that can pass; None where there is none, or nothing is known of when."""
        look = self._look
        return None if look is None else projected(self.tally, look)

    @property
    def _look(self) -> Look | None:
        if self.terms is None or self.place.certified or self._closed:
            return None
        return next_look(self.tally, self.terms)

    @property
    def _closed(self) -> bool:
        return self.gate is not None and bool(self.gate.closed)

    @property
    def _ahead(self) -> str:
        """What is to come: the next look that can pass, with the misses that it allows, or that nothing opens the gate but a new series."""
        look, left = self._look, self.left
        if look is None:
            lost = self._closed or (not self.place.certified and not (self.gate and self.gate.open))
            return "; only a new series can open it (vigimesh cascade anew)" if lost else ""
        when = "" if left is None else f" in about {left} audits, up to {self.price_of(left)},"
        return f"; the next look{when} allows {look.allowed} missed of {look.serious} serious"

    def price_of(self, audits: int) -> str:
        """Return what so many more audits cost behind an open gate, if as many of them are to be paid for as so far; behind a closed one nothing."""
        return self.money(audits * self.tally.price_micro // max(1, self.tally.drawn))

    @staticmethod
    def money(micro: int) -> str:
        """Return an amount for people; its currency is the card's."""
        return f"{micro / 1e6:.2f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A command joined to what it works on. `models` are those in use, `line_micro` what the cards give the sample a month.

    `wanted` is what the cards want of an endpoint in the small tier's place, delta by recall; empty where there is none. It has no certificate.
    """

    desk: Desk
    codec: Codec
    models: Sequence[Model]
    clock: Clock
    line_micro: int = 0
    wanted: Mapping[Fraction, Fraction] = field(default_factory=dict)

    def line(self, held: Held) -> dict[str, Any]:
        """Return what was spent on the sample in the calendar month of now (UTC), of the line that the cards give it, micro-units.

        By the cases that the small tier settled, of each the version drawn last; what was booked for others stands on `usage` alone.
        """
        now = self.clock.now()
        month = f"{now:%Y-%m}"
        drawn = [one for one in held.samples if f"{one.drawn_at:%Y-%m}" == month]
        return {"month": month, "spent_micro": spent(drawn), "line_micro": self.line_micro}

    def label(self, file: Path, by: str) -> tuple[int, list[GateMoved]]:
        """Take a file of labels in and look at the gates upon them; return how many labels are new or changed, and the gates that moved.

        Raises `Refused` VM-2701 or VM-2702, and what the desk raises: then nothing is taken.
        """
        rows, doer = rows_of(file), Doer(by=by, at=self.clock.now())
        counted: list[int] = []
        moves: list[GateMoved] = []

        def make(held: Held) -> Sequence[Write]:
            known = {one.case_id: one for one in held.samples}
            labels = labels_of(rows, known, Given(by=by, now=doer.at))
            fresh = [one for one in labels if not _same(held.labels.get(one.case_id), one)]
            counted.append(len(fresh))
            after = replace(held, labels={**held.labels, **{one.case_id: one for one in fresh}})
            moves.extend(self.moves(after, doer.at))
            return [
                *label_records(self.codec, fresh, held.labels, doer),
                *gate_records(self.codec, moves, held.gates, doer),
            ]

        asyncio.run(self.desk.give(make))
        return sum(counted), moves

    def look(self, by: str) -> tuple[list[GateMoved], list[Standing]]:
        """Look at every gate, record what stands, and return the gates that moved and all places."""
        doer = Doer(by=by, at=self.clock.now())
        moves: list[GateMoved] = []
        after: list[Standing] = []

        def make(held: Held) -> Sequence[Write]:
            moves.extend(self.moves(held, doer.at))
            new = replace(held, gates={**held.gates, **{gate.place: gate for gate in moves}})
            after.extend(self.standings(new))
            daily = [daily_record(self.codec, one.place, one.words, doer) for one in after]
            return [*gate_records(self.codec, moves, held.gates, doer), *daily]

        asyncio.run(self.desk.give(make))
        return moves, after

    def anew(self, key: str, by: str, reason: str) -> GateMoved:
        """Begin a new series in a place. Raises `Refused` VM-2703 or VM-2704."""
        return self._by_hand(key, lambda gate, at: begun_anew(gate, by, reason, at), by)

    def shut(self, key: str, by: str, reason: str) -> GateMoved:
        """Close a place. Raises `Refused` VM-2703 or VM-2704."""
        return self._by_hand(key, lambda gate, at: shut(gate, by, reason, at), by)

    def standings(self, held: Held | None = None) -> list[Standing]:
        """Return how every place stands, by its name."""
        held = held or self.desk.held()
        found = []
        for place, cases in _cases(held).items():
            terms, gate = self.terms(place), held.gates.get(place)
            plan = terms.plan if terms and not place.certified else ()
            found.append(
                Standing(place=place, gate=gate, tally=tallied(since(cases, gate), plan), terms=terms)
            )
        return sorted(found, key=lambda one: key_of(one.place))

    def history(self, days: int) -> list[Entry]:
        """Return the daily records and moves of the last so many days, the oldest first."""
        return entries(self.desk.audits(self.clock.now() - timedelta(days=days)))

    def export(self) -> Iterator[dict[str, Any]]:
        """Yield every labelled case with what is needed to tune by it."""
        for place, cases in _cases(self.desk.held()).items():
            for one in cases:
                if one.serious is not None:
                    yield {
                        "case_id": one.sample.case_id, "place": key_of(place), "margin": one.sample.margin,
                        "stated": one.sample.stated, "serious": one.serious, "group": one.sample.group,
                    }  # fmt: skip

    def moves(self, held: Held, at: datetime) -> list[GateMoved]:
        """Return the gates that are not as they were."""
        found = []
        for place, cases in _cases(held).items():
            terms = self.terms(place)
            if terms is None:
                continue
            gate = moved(place, cases, held.gates.get(place), terms, at)
            if gate != held.gates.get(place):
                found.append(gate)
        return found

    def terms(self, place: CasePlace) -> Terms | None:
        """Return what a place is held to; None when no model in use has such a certificate, and no endpoint is asked in their place.

        Without a certificate the name of a place's model says nothing here: what a worker asks by another name finds this gate closed.
        """
        recall = Fraction(place.recall)
        for model in self.models:
            for one in model.certificates:
                if one.model == place.model and one.recall == recall:
                    wanted = Fraction(place.wanted or recall)
                    return Terms(recall=wanted, delta=one.delta, reference=model.reference)
        if place.certified or recall not in self.wanted:
            return None
        return Terms(recall=recall, delta=self.wanted[recall])

    def _by_hand(self, key: str, move: Any, by: str) -> GateMoved:
        doer = Doer(by=by, at=self.clock.now())
        made: list[GateMoved] = []

        def make(held: Held) -> Sequence[Write]:
            gates = {place: GateMoved(place=place, at=doer.at) for place in _cases(held)} | dict(held.gates)
            place = next((one for one in gates if key_of(one) == key), None)
            if place is None:
                raise Refused(
                    "VM-2703", what=f"there is no gate {key[:120]!r}", where="cascade",
                    todo="name one of `vigimesh cascade status`",
                )  # fmt: skip
            made.append(move(gates[place], doer.at))
            return list(gate_records(self.codec, made, held.gates, doer))

        asyncio.run(self.desk.give(make))
        return made[-1]


def unmet(model: Model, cards: Iterable[Card]) -> list[str]:
    """Return a line for each card whose small tier settles nothing, wherever a case is from: the model has no certificate that it wants."""
    asking = (card for card in cards if "small" in card.tiers and certified(model, card.cascade) is None)
    return [f"card {card.name}: {no_certificate(model, card.cascade)}" for card in asking]


def plain(one: Standing) -> dict[str, Any]:
    """Return a place for JSON; bounds are None where nothing is known of its model."""
    terms, tally, gate = one.terms, one.tally, one.gate
    return {
        "place": key_of(one.place), "product_class": one.place.product_class, "source": one.place.source,
        "language": one.place.language, "model": one.place.model, "certified": one.place.certified,
        "state": gate_words(gate), "open": _open(one), "recall_certified": float(Fraction(one.place.recall)), "recall_wanted": float(terms.recall) if terms else None,
        "recall_low": tally.bound(terms.delta) if terms else None, "confidence": float(1 - terms.delta) if terms else None,
        "serious": tally.serious, "misses": tally.missed, "missed_cases": list(tally.missed_cases), "drawn": tally.drawn,
        "labelled": tally.labelled, "waits_for": tally.waits_for, "series": gate.series if gate else 1,
        "look": gate.look if gate else 0, "spent_micro": tally.spent_micro, "price_micro": tally.price_micro, "audits_to_next_look": one.left, "words": one.words,
    }  # fmt: skip


def _open(one: Standing) -> bool:
    """Return whether the small tier resolves cases there."""
    if one.terms is None or (one.gate and one.gate.closed):
        return False
    return one.place.certified or bool(one.gate and one.gate.open)


def _cases(held: Held) -> Mapping[CasePlace, Sequence[Audited]]:
    return joined(held.samples, held.labels.values())


def _same(before: CaseLabelled | None, label: CaseLabelled) -> bool:
    """Tell whether a label says what is there already; when nobody says when, the moment of taking it in is no change."""
    return before is not None and replace(before, at=label.at) == label
