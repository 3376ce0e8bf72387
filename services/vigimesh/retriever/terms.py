"""What holds for answers of documents that no product describes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from vigimesh.domain.knowledge.freshness import Ages
from vigimesh.ports.knowledge import Product


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for a document that no product names."""

    id: str = ""
    ages: Ages = Ages(hot=timedelta(hours=24), warm=timedelta(hours=168))  # noqa: RUF009  frozen
    semantic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OneForAll:
    """`ports.knowledge.Products` where no product is described: the same terms for every document."""

    terms: Product = Terms()

    @property
    def semantic(self) -> bool:
        """Whether the terms allow a match by meaning."""
        return self.terms.semantic

    def of(self, document_id: str) -> Product:
        """Return the terms."""
        return self.terms
