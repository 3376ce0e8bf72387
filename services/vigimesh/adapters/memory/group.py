"""A consumer group in memory, as Kafka's coordinator sees it with the protocol of KIP-848.

Each member has an epoch that grows when it takes part in a new assignment, and each partition the epoch in which its
member got it. Positions sent with the member's present epoch are taken for *any* partition (measured on the real broker:
that is why a commit must use the metadata of its poll); with an older one only for partitions kept since then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from vigimesh.loop.broker import Part

#: Seconds without a heartbeat after which a member is gone (`group.consumer.session.timeout.ms` of the embedded stack).
SESSION_S = 6.0
#: Seconds between two polls after which a member is gone (`max.poll.interval.ms`, its default).
MAX_POLL_S = 300.0


@dataclass(slots=True, eq=False)
class Member:
    """A member as the coordinator knows it. `since` holds the partitions it owns, each with the epoch it got it in."""

    epoch: int = 0
    since: dict[int, int] = field(default_factory=dict)
    target: frozenset[int] = frozenset()
    #: When its heart stopped (a frozen or dead process), or `None` while it beats.
    silent_since_s: float | None = None
    #: Fenced for its epoch, since answers to its heartbeats got lost: it lets go of all that it owns and takes it up again. For the
    #: coordinator nothing has changed: it takes positions from it all the while, under the epoch that it had (measured).
    fenced: bool = False
    #: When its last poll ended; `None` while one is under way.
    polled_at_s: float | None = None

    def fence(self) -> None:
        """Refuse its next heartbeat: see `fenced`."""
        self.fenced = True

    def polls(self, now_s: float) -> None:
        """A poll begins."""
        self.polled_at_s = None

    def polled(self, now_s: float) -> None:
        """A poll has ended."""
        self.polled_at_s = now_s

    def leaving(self) -> frozenset[int]:
        """Return the partitions that it must let go."""
        return frozenset(self.since) - self.target

    def gone(self, now_s: float) -> bool:
        """Return whether it counts as dead."""
        silent = self.silent_since_s is not None and now_s - self.silent_since_s >= SESSION_S
        return silent or (self.polled_at_s is not None and now_s - self.polled_at_s >= MAX_POLL_S)


@dataclass(slots=True)
class Group:
    """The members of a group and what each shall own."""

    topics: tuple[str, ...]
    members: list[Member] = field(default_factory=list)
    epoch: int = 0

    def joins(self, member: Member, now_s: float, partitions: int) -> bool:
        """Let a member in if it is not; return whether it was not."""
        if member in self.members:
            return False
        member.since, member.silent_since_s = {}, None
        self.members.append(member)
        self._share(partitions)
        member.epoch = self.epoch
        return True

    def leaves(self, member: Member, partitions: int) -> None:
        """Let a member go, with all it owns."""
        if member in self.members:
            self._remove(member)
            self._share(partitions)

    def expire(self, now_s: float, partitions: int) -> bool:
        """Throw out members that count as dead; return whether there were any."""
        dead = [member for member in self.members if member.gone(now_s)]
        for member in dead:
            self._remove(member)
        if dead:
            self._share(partitions)
        return bool(dead)

    def lets_go(self, member: Member, leaving: frozenset[int]) -> None:
        """The member has given up partitions, also what has become its own again meanwhile; it will get that anew."""
        for partition in leaving:
            member.since.pop(partition, None)
        if leaving and member in self.members:
            member.epoch = self.epoch

    def takes_over(self, member: Member, stable: Callable[[int], bool]) -> None:
        """Give a member what it shall own and nobody holds any more."""
        if member not in self.members:
            return
        held = {partition for other in self.members for partition in other.since}
        new = sorted(p for p in member.target - held if stable(p))
        for partition in new:
            member.since[partition] = self.epoch
        if not member.leaving():
            member.epoch = self.epoch

    def takes(self, member: Member, epoch: int, parts: Iterable[Part]) -> bool:
        """Return whether positions of these partitions are taken from a member with metadata of an epoch."""
        if member not in self.members:
            return False
        if epoch == member.epoch:
            return True
        return all(member.since.get(part.partition, epoch + 1) <= epoch for part in parts)

    def _remove(self, member: Member) -> None:
        self.members.remove(member)
        member.since, member.target = {}, frozenset()

    def _share(self, partitions: int) -> None:
        """Share evenly; a member keeps what it has as far as its share goes, so that few partitions move."""
        self.epoch += 1
        if not self.members:
            return
        least, more = divmod(partitions, len(self.members))
        kept: dict[int, list[int]] = {}
        for at, member in enumerate(self.members):
            kept[at] = sorted(member.since)[: least + (at < more)]
        free = iter(sorted(set(range(partitions)) - {p for parts in kept.values() for p in parts}))
        for at, member in enumerate(self.members):
            missing = least + (at < more) - len(kept[at])
            member.target = frozenset([*kept[at], *(next(free) for _ in range(missing))])
