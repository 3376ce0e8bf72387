"""Where a version stands among the versions of its case that the supervisor knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vigimesh.events.classes import HeadMoved, SeenMessage

Version = tuple[str, ...]

#: Versions of one case remembered as concluded (the contract of `HeadMoved.seen`).
MAX_SEEN = 64

#: no_head: the first that is known; newest: after all that are known; repeat: concluded for that cause; conflict: the
#: same ordinal in another message; unordered: dates too imprecise to say; overtaken: a newer one is known;
#: nullified: overtaken by a nullification; after_nullification: newer than a nullification.
Standing = Literal[
    "no_head", "newest", "repeat", "conflict", "unordered", "overtaken", "nullified", "after_nullification"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a version stands; `against` is the message it was compared with, or empty."""

    standing: Standing
    against: str = ""


def head_of(answer: Mapping[str, Any] | None) -> HeadMoved | None:
    """Return the head that the worker's plain answer holds."""
    if answer is None:
        return None
    seen = tuple(
        SeenMessage(
            message_id=one["message_id"],
            version=tuple(one["version"]),
            outcome=one["outcome"],
            cause=one.get("cause", ""),
        )
        for one in answer["seen"]
    )
    return HeadMoved(
        case_id=answer["case_id"],
        newest=tuple(answer["newest"]),
        newest_message_id=answer["newest_message_id"],
        nullified=answer["nullified"],
        seen=seen,
    )


def order(one: Version, other: Version) -> Literal["before", "after", "same", "unknown"]:
    """Compare two ordinals part by part; an absent or less precise date cannot be put in order with another."""
    for left, right in zip(one, other, strict=False):
        if left == right:
            continue
        if left.startswith(right) or right.startswith(left):
            return "unknown"
        return "before" if left < right else "after"
    return "same" if len(one) == len(other) else "unknown"


def place(message_id: str, version: Version, head: HeadMoved | None, cause: str = "") -> Placed:
    """Return where the version stands, by rules in this order. What is concluded once is a message for a cause.

    1. A message that is concluded already for this cause is a repeat; so is the arrival of the newest, remembered or not.
    2. The ordinal of another message is a conflict: both are kept, a person decides.
    3. A recall of the newest version speaks of what stands, also when that is a nullification.
    4. Dates that do not tell the order are for a person too: a newer version must not end as superseded.
    5. Older than the newest: overtaken, or nullified when the case is.
    6. Newer than a nullification: a case sent again has new ids (C.1.11), so a person looks.
    """
    if head is None:
        return Placed(standing="no_head")
    # 1.
    newest = head.newest_message_id == message_id
    if any(one.message_id == message_id and one.cause == cause for one in head.seen) or (
        newest and not cause
    ):
        return Placed(standing="repeat", against=message_id)
    # 2.
    others = (one for one in head.seen if one.message_id != message_id)
    same = next((one.message_id for one in others if one.version == version), "")
    if not same and head.newest == version and not newest:
        same = head.newest_message_id
    if same:
        return Placed(standing="conflict", against=same)
    # 3.
    if newest:
        return Placed(standing="newest", against=message_id)
    # 4.
    found = order(version, head.newest)
    if found == "unknown":
        return Placed(standing="unordered", against=head.newest_message_id)
    # 5.
    if found == "before":
        return Placed(standing="nullified" if head.nullified else "overtaken", against=head.newest_message_id)
    # 6.
    if head.nullified:
        return Placed(standing="after_nullification", against=head.newest_message_id)
    return Placed(standing="newest", against=head.newest_message_id)


def moved(head: HeadMoved | None, case_id: str, concluded: SeenMessage, *, nullified: bool) -> HeadMoved:
    """Return the head after a version was concluded; it names a newer version only when the order is certain."""
    if head is None:
        return HeadMoved(
            case_id=case_id,
            newest=concluded.version,
            newest_message_id=concluded.message_id,
            nullified=nullified,
            seen=(concluded,),
        )
    newer = order(concluded.version, head.newest) == "after"
    return HeadMoved(
        case_id=case_id,
        newest=concluded.version if newer else head.newest,
        newest_message_id=concluded.message_id if newer else head.newest_message_id,
        nullified=head.nullified or nullified,
        seen=_remembered((*head.seen, concluded)),
    )


def _remembered(seen: tuple[SeenMessage, ...]) -> tuple[SeenMessage, ...]:
    """Return the last `MAX_SEEN`; the oldest recall goes before an arrival: recalls are remembered by who orders them too."""
    if len(seen) <= MAX_SEEN:
        return seen
    recalled = next((at for at, one in enumerate(seen[:-1]) if one.cause), 0)
    return (*seen[:recalled], *seen[recalled + 1 :])
