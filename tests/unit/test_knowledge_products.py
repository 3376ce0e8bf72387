"""Knowledge products: read strictly, whose a document is, when a product is refreshed and when it is past its level."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vigimesh.app.config.settings import read_settings
from vigimesh.app.in_force.products import products_of
from vigimesh.domain.knowledge.products import (
    DEFAULT,
    Product,
    gather,
    read_product,
    shipped_products,
    with_overlay,
)
from vigimesh.domain.knowledge.shipped import shipped_documents
from vigimesh.errors import Misconfigured

GOOD = """
id = "own"
owner = "A. Person"
description = "ours"
documents = ["label/x", "label/*"]
service_level_hours = 48
semantic = true
[refresh]
policy = "scheduled"
opens_utc = "23:00"
closes_utc = "01:00"
[ages]
hot_hours = 2
warm_hours = 24
"""


def product(text: str = GOOD) -> Product:
    return read_product(text.encode(), "own.toml")


def at(hour: int, minute: int = 0, day: int = 10) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def test_every_shipped_document_belongs_to_a_shipped_product() -> None:
    products = shipped_products()
    ids = [one.document.id for one in shipped_documents()]
    owners = {name: products.of(name) for name in ids}
    assert DEFAULT not in owners.values()
    assert {one.id for one in owners.values()} == {one.id for one in products.products}


def test_a_product_says_what_its_file_does() -> None:
    one = product()
    assert (one.id, one.owner, one.semantic) == ("own", "A. Person", True)
    assert (one.service_level, one.ages.hot, one.ages.warm) == (
        timedelta(hours=48),
        timedelta(hours=2),
        timedelta(hours=24),
    )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("owner = ", "ownr = ", "unknown key 'ownr'.*did you mean 'owner'"),
        ('owner = "A. Person"', "", "key 'owner' is missing"),
        ('owner = "A. Person"', 'owner = " "', "'owner'"),
        ("service_level_hours = 48", "service_level_hours = 0", "whole number from 1 to 8784"),
        ("service_level_hours = 48", "service_level_hours = 8785", "whole number from 1 to 8784"),
        ("semantic = true", 'semantic = "yes"', "true or false"),
        ("hot_hours = 2", "hot_hours = 25", "hot_hours <= warm_hours"),
        ("warm_hours = 24", "warm_hours = 9000", "whole number from 1 to 8784"),
        ('"scheduled"', '"hourly"', "use one of on_change, scheduled"),
        ('"01:00"', '"23:00"', "another time than 'opens_utc'"),
        ('"23:00"', '"24:00"', "time of day"),
        ('["label/x", "label/*"]', "[]", "list of document ids"),
        ('["label/x", "label/*"]', '["Label"]', "list of document ids"),
        ('["label/x", "label/*"]', '["a*b"]', "list of document ids"),
        ('["label/x", "label/*"]', '["a", "a"]', "each once"),
        ("[ages]", "[ages]\nlukewarm_hours = 3", "unknown key 'ages.lukewarm_hours'"),
        ("[ages]", "[ages", "no TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_file(old: str, new: str, told: str) -> None:
    assert old in GOOD
    with pytest.raises(Misconfigured, match=f"(?s){told}") as caught:
        product(GOOD.replace(old, new, 1))
    assert (caught.value.code, caught.value.where) == ("VM-2801", "own.toml")


def test_the_longest_pattern_says_whose_a_document_is_and_a_whole_id_before_any() -> None:
    wide = product(GOOD.replace('["label/x", "label/*"]', '["*"]').replace('"own"', '"wide"'))
    exact = product(GOOD.replace('["label/x", "label/*"]', '["label/very-long"]').replace('"own"', '"exact"'))
    beginning = product(GOOD.replace('["label/x", "label/*"]', '["label/very-long*", "label/*"]'))
    products = gather([(wide, "w"), (exact, "e"), (beginning, "b")], "here")
    found = {name: products.of(name).id for name in ("label/very-long", "label/very-long-2", "label/a", "x")}
    assert found == {
        "label/very-long": "exact", "label/very-long-2": "own", "label/a": "own", "x": "wide",
    }  # fmt: skip
    assert gather([(exact, "e")], "here").of("label/other") is DEFAULT


def test_an_id_or_a_pattern_belongs_to_one_product() -> None:
    other = product(GOOD.replace('"own"', '"other"', 1))
    with pytest.raises(Misconfigured, match="pattern 'label/x' is that of product"):
        gather([(product(), "a"), (other, "b")], "here")
    with pytest.raises(Misconfigured, match="product 'own' is in a already"):
        gather([(product(), "a"), (product(), "b")], "here")
    with pytest.raises(Misconfigured, match="VM-2801"):
        gather([(product(GOOD.replace('"own"', '"default"', 1)), "a")], "here")


def test_own_products_lie_over_the_shipped_ones(tmp_path: Path) -> None:
    mine = GOOD.replace('["label/x", "label/*"]', '["guidance/*"]').replace('"own"', '"guidance"', 1)
    assert with_overlay({"g.toml": mine.encode()}, "o").of("guidance/label-change").owner == "A. Person"
    with pytest.raises(Misconfigured, match="pattern 'guidance/"):
        with_overlay({"g.toml": mine.replace('"guidance"', '"more"', 1).encode()}, "o")
    (tmp_path / "g.toml").write_text(mine, encoding="utf-8")
    settings = read_settings({"VIGIMESH_KNOWLEDGE__PRODUCTS": str(tmp_path)})
    assert products_of(settings).of("guidance/label-change").owner == "A. Person"
    assert products_of(read_settings({})) == shipped_products()
    (tmp_path / "g.toml").unlink()
    with pytest.raises(Misconfigured, match="there is no product in the folder") as caught:
        products_of(settings)
    assert caught.value.code == "VM-2801"


def test_a_window_that_passes_midnight_opens_once_a_day() -> None:
    refresh = product().refresh
    assert [refresh.is_open(at(h, m)) for h, m in ((22, 59), (23, 0), (0, 59), (1, 0))] == [
        False,
        True,
        True,
        False,
    ]
    made = at(23, 5, day=9)
    assert not refresh.due(made, at(0, 30))  # the same window
    assert not refresh.due(made, at(12))  # shut
    assert refresh.due(made, at(23, 0))
    assert refresh.due(None, at(0, 30))
    assert not refresh.due(None, at(12))
    assert refresh.next_after(at(0, 30)) == at(23)
    assert refresh.next_after(at(23)) == at(23, day=11)
    on_change = product(GOOD.replace('"scheduled"', '"on_change"')).refresh
    assert on_change.next_after(at(1)) is None
    assert not on_change.due(None, at(23))
