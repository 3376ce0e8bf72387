"""What stages and background processes need from outside, as Protocols; adapters implement them, `app/wiring` joins the two."""

from vigimesh.ports.batches import Batches, BatchJournal
from vigimesh.ports.knowledge import Library, Search
from vigimesh.ports.money import Agreement, Budget, Journal, Models
from vigimesh.ports.objects import Objects
from vigimesh.ports.parked import ParkedTopic, Spot

__all__ = [
    "Agreement",
    "BatchJournal",
    "Batches",
    "Budget",
    "Journal",
    "Library",
    "Models",
    "Objects",
    "ParkedTopic",
    "Search",
    "Spot",
]
