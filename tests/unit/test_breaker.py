"""When an endpoint is left alone: against what the history of calls says, whatever order they come in."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from vigimesh.domain.cascade.breaker import (
    CLOSED,
    FAILURES,
    MAX_PAUSE_S,
    PAUSE_S,
    WINDOW_S,
    Breaker,
    admitted,
    ended,
    returned,
)

#: Seconds that a call which tries the endpoint has.
WITHIN_S = 150.0
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(("ask", "fails", "fails", "fails", "answers", "gives back")),
        st.sampled_from((0.0, 0.5, 10.0, PAUSE_S, WITHIN_S, MAX_PAUSE_S, WINDOW_S / 4)),
    ),
    max_size=60,
)  # fmt: skip


@dataclass
class Seen:
    """What happened to an endpoint, as somebody outside writes it down."""

    breaker: Breaker = CLOSED
    now_s: float = 0.0
    #: Failures since the last answer, and those of them since it was left alone.
    failures: list[float] = field(default_factory=list)
    trying_since_s: float | None = None

    def ask(self) -> bool:
        before = self.breaker
        self.breaker, may = admitted(before, self.now_s, WITHIN_S)
        if before.state == "closed":
            assert may
            assert self.breaker is before
            return may
        assert may == (self.now_s >= before.until_s)
        if may:
            late = self.trying_since_s is not None and self.now_s - self.trying_since_s >= WITHIN_S
            assert self.trying_since_s is None or late, "two calls try the endpoint at once"
            self.trying_since_s = self.now_s
            assert self.breaker.state == "half_open"
            assert not admitted(self.breaker, self.now_s, WITHIN_S)[1]
        return may

    def end(self, *, answered: bool) -> None:
        before = self.breaker
        self.breaker = ended(before, answered=answered, now_s=self.now_s)
        self.failures = [] if answered else [*self.failures, self.now_s]
        if answered:
            assert self.breaker == CLOSED
            self.trying_since_s = None
        elif self.trying_since_s is not None:
            assert self.breaker.state == "open"
            assert self.breaker.pause_s == min(MAX_PAUSE_S, 2 * before.pause_s)
            assert self.breaker.until_s == self.now_s + self.breaker.pause_s
            self.trying_since_s = None
        elif before.state == "open":
            assert self.breaker is before, "a call that began earlier changes nothing"
        else:
            recent = [at_s for at_s in self.failures if self.now_s - at_s < WINDOW_S]
            assert (self.breaker.state == "open") == (len(recent) >= FAILURES)

    def give_back(self) -> None:
        self.breaker = returned(self.breaker, self.now_s)
        if self.trying_since_s is not None:
            self.trying_since_s = None
            assert self.breaker.state == "open"
            assert admitted(self.breaker, self.now_s, WITHIN_S)[1], "the next one may try"


@given(EVENTS)
def test_it_opens_tries_and_closes_as_the_history_says(events: list[tuple[str, float]]) -> None:
    seen = Seen()
    for what, after_s in events:
        seen.now_s += after_s
        match what:
            case "ask":
                seen.ask()
            case "gives back":
                seen.give_back()
            case _:
                seen.end(answered=what == "answers")
        assert len(seen.breaker.failed_s) <= FAILURES
        assert seen.breaker.pause_s == 0 or PAUSE_S <= seen.breaker.pause_s <= MAX_PAUSE_S
        # Whatever happens, it is asked again after a while.
        later_s = seen.now_s + max(MAX_PAUSE_S, WITHIN_S)
        assert admitted(seen.breaker, later_s, WITHIN_S)[1]


def test_an_endpoint_that_hangs_all_day_is_tried_some_hundred_times() -> None:
    """Asked once a second; each call hangs for a minute."""
    breaker, made, under_way = CLOSED, 0, list[float]()
    for second in range(86_400):
        for _ in [at_s for at_s in under_way if at_s <= second]:
            breaker = ended(breaker, answered=False, now_s=float(second))
        under_way = [at_s for at_s in under_way if at_s > second]
        breaker, may = admitted(breaker, float(second), WITHIN_S)
        if may:
            made += 1
            under_way.append(second + 60.0)
    # A minute's calls before the first has failed, then one in eleven minutes.
    assert abs(made - (60 + 86_400 / 660)) < 20


def test_failures_with_answers_between_never_open_it() -> None:
    breaker = CLOSED
    for number in range(1_000):
        breaker = ended(breaker, answered=number % FAILURES == 0, now_s=float(number))
        assert breaker.state == "closed"
