"""What stages and background processes need from outside, as Protocols; adapters implement them, `app/workers/wiring` joins the two."""

from vigimesh.ports.batches import Batches, BatchJournal
from vigimesh.ports.embeddings import Bare, Embedder, Vectors
from vigimesh.ports.knowledge import Answers, Keep, Library, Products, Search, Summaries
from vigimesh.ports.ledger import Ledger, Measurements
from vigimesh.ports.money import Agreement, Budget, Journal, Models
from vigimesh.ports.objects import Objects
from vigimesh.ports.parked import ParkedTopic, Spot
from vigimesh.ports.scans import PageReader, ScannedLine, ScannedPage
from vigimesh.ports.summaries import SummaryIndex

__all__ = [
    "Agreement",
    "Answers",
    "Bare",
    "BatchJournal",
    "Batches",
    "Budget",
    "Embedder",
    "Journal",
    "Keep",
    "Ledger",
    "Library",
    "Measurements",
    "Models",
    "Objects",
    "PageReader",
    "ParkedTopic",
    "Products",
    "ScannedLine",
    "ScannedPage",
    "Search",
    "Spot",
    "Summaries",
    "SummaryIndex",
    "Vectors",
]
