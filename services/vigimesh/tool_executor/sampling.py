"""The live audit sample in a pass: what is noted of a drawn case, what keeps it from a machine, what the audit costs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from vigimesh.domain.cascade.sample import FLAG, Scored, drawn, sampled, usage_of
from vigimesh.domain.cascade.small import Told
from vigimesh.domain.policy.cards import Card
from vigimesh.events.classes import EvidenceRetrieved, Triage, UsageRecorded
from vigimesh.events.sampling import CaseSampled


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """What the sample makes of a pass: the triage result, kept from a machine where the case is drawn, and the records beside it."""

    triage: Triage
    note: CaseSampled | None = None
    usage: UsageRecorded | None = None


def audited(
    event: EvidenceRetrieved, card: Card, text: str, told: Mapping[str, Any] | None, results: tuple[Triage, Triage]
) -> Sampled:  # fmt: skip
    """Return what the sample makes of a pass of the small or large tier; a pass of the tools alone has no model to audit, and is left as it was.

    `told` is what `small.tell` said of the case, `None` in another pass; `results` are what the tools said and what was made of it. A drawn case is
    flagged in every pass, so that no machine ends it; a person is paid for it where one would have: where a model settled it as not serious.
    """
    before, after = results
    audit = card.cascade.audit
    if (
        audit is None
        or event.plan.tier == "tools"
        or event.case.kind != "icsr"
        or not drawn(event.case.case_id, audit)
    ):
        return Sampled(triage=after)
    settled = before.serious == "unknown" and after.serious == "no"
    used = usage_of(event.case, event.route, card, "tool-executor") if settled else None
    flagged = after if FLAG in after.flags else replace(after, flags=(*after.flags, FLAG))
    return Sampled(triage=flagged, note=_note(event, card, text, told, (before, settled)), usage=used)


def _note(
    event: EvidenceRetrieved, card: Card, text: str, told: Mapping[str, Any] | None, result: tuple[Triage, bool]
) -> CaseSampled | None:  # fmt: skip
    if told is None:
        return None
    given = msgspec.convert(told, Told)
    if given.why or given.place is None or given.threshold is None:
        return None  # without a score or a certificate nothing can be held against a label
    scored = Scored(
        place=given.place, margin=given.margin, threshold=given.threshold, whole=given.whole, resolved=result[1]
    )  # fmt: skip
    return sampled(event.case, result[0], text, event.route, scored, card)
