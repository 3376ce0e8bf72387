"""Reads the knowledge products in force: the shipped ones, and those of a folder laid over them."""

from __future__ import annotations

from pathlib import Path

from vigimesh.app.config.settings import Settings
from vigimesh.app.in_force.toml_folder import Kind
from vigimesh.domain.knowledge.products import (
    MAX_FILE_BYTES,
    MAX_PRODUCTS,
    Products,
    shipped_products,
    with_overlay,
)

_PRODUCT = Kind(one="product", most=MAX_PRODUCTS, most_bytes=MAX_FILE_BYTES, code="VM-2801")


def products_of(settings: Settings) -> Products:
    """Return the products in force by the settings; raises `Misconfigured` VM-2801 when a file of them is wrong."""
    named = settings.knowledge.products
    if not named:
        return shipped_products()
    return with_overlay(_PRODUCT.files(Path(named)), f"shipped products with those of {named}")
