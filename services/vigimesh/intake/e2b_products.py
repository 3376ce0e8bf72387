"""The products of an ICSR (section G)."""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from vigimesh.events import words
from vigimesh.events.case import Product
from vigimesh.intake.e2b_tree import (
    ICH,
    NULL_FLAVOURS,
    OBSERVATIONS,
    attribute,
    code_of,
    content,
    each,
    first,
    joined,
    period,
    stated,
)

#: Suspects first (contract of `Case.products`), the order of the source kept within.
_ORDER = ("suspect", "interacting", "concomitant", "not_administered")


def products_of(
    role: etree._Element | None, assessment: etree._Element | None
) -> tuple[tuple[Product, ...], bool]:
    """Return the products, suspects first, and whether one names the gestation period at exposure (G.k.6).

    A product whose role is not stated counts as suspect: a safe reading, because a suspect asks for more care.
    """
    roles = _roles(assessment)
    found, exposed = [], False
    for given in _administrations(role):
        own = _observations(given)
        gestation = own.get("16", [])
        exposed = exposed or any(stated(attribute(value, "value")) for value in gestation)
        identity = first(given, "id")
        key = "" if identity is None else (identity.get("root") or "").lower()
        found.append(_product(given, roles.get(key, "suspect"), own))
    return tuple(sorted(found, key=lambda product: _ORDER.index(product.role))), exposed


def _roles(assessment: etree._Element | None) -> dict[str, str]:
    """G.k.1 by the id of the product that it speaks of; of several words on one, the first in `_ORDER`."""
    roles: dict[str, str] = {}
    for found in each(assessment, "component/causalityAssessment"):
        if code_of(found) != ("20", OBSERVATIONS):
            continue
        word = words.ROLE.get(attribute(first(found, "value"), "code"), "")
        for identity in each(found, "subject2/productUseReference/id"):
            key = (identity.get("root") or "").lower()
            if word and _ORDER.index(word) < _ORDER.index(roles.get(key, _ORDER[-1])) + (key not in roles):
                roles[key] = word
    return roles


def _administrations(role: etree._Element | None) -> Iterator[etree._Element]:
    for group in each(role, "subjectOf2/organizer"):
        if code_of(group) == ("4", f"{ICH}.1.20"):
            yield from each(group, "component/substanceAdministration")


def _observations(given: etree._Element) -> dict[str, list[etree._Element]]:
    """Return the values of a product's observations by code of ICH's list."""
    values: dict[str, list[etree._Element]] = {}
    for inner in each(given, "outboundRelationship2/observation"):
        code, system = code_of(inner)
        value = first(inner, "value")
        if system == OBSERVATIONS and value is not None:
            values.setdefault(code, []).append(value)
    return values


def _product(given: etree._Element, role: str, own: dict[str, list[etree._Element]]) -> Product:
    kind = first(given, "consumable/instanceOfKind/kindOfProduct")
    doses = [
        dose
        for link in each(given, "outboundRelationship2")
        if link.get("typeCode") != "FLFS"  # a parent's dose is named by its number only
        for dose in each(link, "substanceAdministration")
    ]
    times = [period(first(dose, "effectiveTime")) for dose in doses]
    coded = [attribute(v, "code") for v in own.get("9", []) if v.get("codeSystem") in {f"{ICH}.1.17", None}]
    holders = each(kind, "asManufacturedProduct/subjectOf/approval/holder/role/playingOrganization/name")
    lots = "consumable/instanceOfKind/productInstanceInstance/lotNumberText"
    return Product(
        name=content(first(kind, "name")),
        role=role,
        kind=_kind(kind),
        substance=joined(content(name) for name in each(kind, "ingredient/ingredientSubstance/name")),
        manufacturer=joined(content(name) for name in holders),
        lot=joined(content(lot) for dose in doses for lot in each(dose, lots)),
        dose=joined(_dose(dose) for dose in doses),
        route=joined(_named(first(dose, "routeCode")) for dose in doses),
        started_on=_bound([start for start, _ in times], earliest=True),
        stopped_on=_bound([end for _, end in times], earliest=False),
        indication=joined(_indications(given)),
        blinded=any(attribute(value, "value") in {"true", "1"} for value in own.get("6", [])),
        situations=tuple(dict.fromkeys(words.SITUATION.get(code, "other") for code in coded if stated(code))),
    )


def _kind(kind: etree._Element | None) -> str:
    """Tell a combination product, which names its device part (FDA.G.k.12); E2B(R3) says no more of the kind."""
    parts = each(kind, "part/partProduct")
    return "combination" if any(part.get("classCode") == "DEV" for part in parts) else "not_stated"


def _dose(dose: etree._Element) -> str:
    """G.k.4.r.8, else amount and interval (G.k.4.r.1 to 3)."""
    text = content(first(dose, "text"))
    if text:
        return text
    amount, every = first(dose, "doseQuantity"), next(dose.iter("{urn:hl7-org:v3}period"), None)
    amount_text = " ".join(filter(None, [stated(attribute(amount, "value")), _unit(amount)]))
    every_text = " ".join(filter(None, [stated(attribute(every, "value")), _unit(every)]))
    return f"{amount_text} every {every_text}".strip() if every_text else amount_text


def _unit(element: etree._Element | None) -> str:
    return "" if element is None else element.get("unit") or ""


def _named(element: etree._Element | None) -> str:
    """Free text, else the code's name, else the code, else the null flavour."""
    if element is None:
        return ""
    return content(first(element, "originalText")) or element.get("displayName") or attribute(element, "code")


def _indications(given: etree._Element) -> Iterator[str]:
    """G.k.7.r: free text, else name or code; a null flavour of the text stays."""
    for inner in each(given, "inboundRelationship/observation"):
        if code_of(inner) == ("19", OBSERVATIONS):
            value = first(inner, "value")
            yield _named(value) or attribute(first(value, "originalText"), "nullFlavor")


def _bound(values: list[str], *, earliest: bool) -> str:
    """Return the first or last of dates; a null flavour only when there is no date."""
    dates = [value for value in values if value and value not in NULL_FLAVOURS]
    if dates:
        return min(dates) if earliest else max(dates)
    return next((value for value in values if value), "")
