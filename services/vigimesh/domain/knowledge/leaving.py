"""Which questions may be put to a model elsewhere: those of which it is known that they name nobody. Pure.

A question holds words of a reporter, and a reporter may write a name. It leaves as it is or not at all: only when it begins with a
product of the knowledge base, and `privacy.redact` finds nothing to take out of it. What is kept is answered by its words alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from vigimesh.domain.knowledge.question_words import MEDICAL
from vigimesh.domain.knowledge.questions import Scope, understand
from vigimesh.domain.privacy.redaction import Known, Redacted, redact


def product_names(scope: Scope) -> tuple[str, ...]:
    """Return the names of products that the knowledge base has, in small letters."""
    return tuple(" ".join(name) for name in scope.starts)


def may_leave(question: str, scope: Scope, products: Iterable[str]) -> bool:
    """Tell whether a question names nobody for all that is known; `products` are the `product_names` of the scope.

    A term is written with a capital, as a name is: one that begins with a word of reactions is read in small letters.
    """
    if not understand(question, scope).only:
        return False
    words = question.split()
    plain = " ".join(word.lower() if word.lower() in MEDICAL else word for word in words)
    found = redact(plain, Known(products=tuple(products)))
    return isinstance(found, Redacted) and not found.table.rows
