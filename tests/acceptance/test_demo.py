"""`vigimesh demo` as a new user runs it: every tier at work, the stand-in called one, and what it would have cost otherwise."""

from __future__ import annotations

import pytest

from meshes import vigimesh
from vigimesh.domain.policy.tiers import TIERS

pytestmark = pytest.mark.real


def test_the_demo_uses_every_tier_and_says_what_all_large_would_have_cost() -> None:
    answer = vigimesh("demo", "--json")
    assert answer.status == 0, answer.err
    found = answer.json
    assert (found["lost"], found["duplicated"], found["torn"], found["in_flight"]) == (0, 0, 0, 0)
    assert set(found["resolved_by"]) == set(TIERS)
    assert all(found["resolved_by"].values()), found["resolved_by"]
    assert sum(found["resolved_by"].values()) == found["decided"] + found["in_review"]
    assert 0 < found["spend_micro"] < found["all_large_micro"]
    assert "a stand-in and no real model" in found["large_model"]
