"""Settings of the large model, of a small one at an endpoint, of tools that others add, and of embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vigimesh.app.config.setting import SECRET, TEXT, declare, number, one_of, url_with


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeModelSettings:
    """The endpoint of the large model; without a base URL and a name there is none, and the tier is absent."""

    base_url: str = declare(
        "VIGIMESH_LARGE_MODEL__BASE_URL",
        "",
        url_with("http", "https"),
        "Base URL of an OpenAI-compatible endpoint, such as `https://models.example/v1`; empty means that there is no large "
        "model: what the cheaper tiers leave open goes to a person.",
    )
    name: str = declare(
        "VIGIMESH_LARGE_MODEL__NAME",
        "",
        TEXT,
        "Name of the model there; what it costs is said in VIGIMESH_LARGE_MODEL__PRICES, or assumed.",
    )
    fallbacks: str = declare(
        "VIGIMESH_LARGE_MODEL__FALLBACKS",
        "",
        TEXT,
        "Up to three other models of the same endpoint, separated by commas, asked in this order when the one before did not take the "
        "call (429, 503, no connection, refused); each priced like the first. Never after a call that may have been billed.",
    )
    key: str = declare("VIGIMESH_LARGE_MODEL__KEY", "", SECRET, "Key of the endpoint; none when empty.")
    deadline_s: int = declare(
        "VIGIMESH_LARGE_MODEL__DEADLINE_S",
        60,
        number(1, 600),
        "Seconds for one call; one that takes longer is cut off and counts as its worst case.",
    )
    calls_per_minute: int = declare(
        "VIGIMESH_LARGE_MODEL__CALLS_PER_MINUTE",
        0,
        number(0, 1_000_000),
        "Calls that the endpoint takes in a minute from all workflows together: the controller deals them to whoever is "
        "nearest to a legal clock, and one at least to each; 0 knows of no limit, so that each card's own holds.",
    )
    limit_field: Literal["max_tokens", "max_completion_tokens"] = declare(
        "VIGIMESH_LARGE_MODEL__LIMIT_FIELD",
        "max_tokens",
        one_of("max_tokens", "max_completion_tokens"),
        "Name under which the endpoint takes the longest answer; reasoning models of OpenAI want `max_completion_tokens`.",
    )
    prices: str = declare(
        "VIGIMESH_LARGE_MODEL__PRICES",
        "",
        TEXT,
        "File with the price of the model, and of the one of VIGIMESH_SMALL_MODEL__NAME, in the form of the shipped price book, which knows only the stand-in `standin-1` and "
        "`local`, which is free. Its models take the place of namesakes there; one that it leaves out is never called. Without a "
        "file a model is taken to cost the assumed ceiling, above every public list price, so that the budget ends early.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallModelSettings:
    """An endpoint that takes the place of the shipped small model; without a base URL and a name there is none, and the shipped one is asked."""

    base_url: str = declare(
        "VIGIMESH_SMALL_MODEL__BASE_URL",
        "",
        url_with("http", "https"),
        "Base URL of an OpenAI-compatible endpoint that takes the small tier's place; empty leaves it to the shipped model, which also reads what "
        "the endpoint does not answer or may not see. Its gate begins closed, whatever it answers, until `vigimesh cascade label` and "
        "`look` have opened it.",
    )
    folder: str = declare(
        "VIGIMESH_SMALL_MODEL__FOLDER",
        "",
        TEXT,
        "Folder that `vigimesh train --out` wrote, whose model of seriousness takes the shipped one's place, for every worker and `vigimesh "
        "cascade`; its gate is open where its own certificate holds, and begins closed elsewhere. Empty takes the shipped one.",
    )
    name: str = declare(
        "VIGIMESH_SMALL_MODEL__NAME",
        "",
        TEXT,
        "Name of the model there, another than those of the large model; its price is said in VIGIMESH_LARGE_MODEL__PRICES, or assumed.",
    )
    key: str = declare("VIGIMESH_SMALL_MODEL__KEY", "", SECRET, "Key of that endpoint; none when empty.")
    deadline_s: int = declare(
        "VIGIMESH_SMALL_MODEL__DEADLINE_S",
        10,
        number(1, 600),
        "Seconds for one call; one that takes longer is cut off, counts as its worst case, and the shipped model reads the case.",
    )
    settles_below: int = declare(
        "VIGIMESH_SMALL_MODEL__SETTLES_BELOW",
        5,
        number(1, 50),
        "Percentage of being serious, as the endpoint says it, below which it would settle a case as not serious; another number is "
        "another gate, which begins closed.",
    )
    limit_field: Literal["max_tokens", "max_completion_tokens"] = declare(
        "VIGIMESH_SMALL_MODEL__LIMIT_FIELD",
        "max_tokens",
        one_of("max_tokens", "max_completion_tokens"),
        "Name under which that endpoint takes the longest answer.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolsSettings:
    """Tools that others add."""

    servers: str = declare(
        "VIGIMESH_TOOLS__SERVERS",
        "",
        TEXT,
        "File that names MCP servers and which of their tools a workflow card may name as steps (docs/tools.md); empty "
        "knows of none.",
    )
    deadline_s: int = declare(
        "VIGIMESH_TOOLS__DEADLINE_S",
        10,
        number(1, 60),
        "Seconds that an added tool has for its answer; one that takes longer has failed. A server that is being started has up to 60 s before they count.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingSettings:
    """The model that turns questions and passages into vectors."""

    model: Literal["off", "local", "endpoint"] = declare(
        "VIGIMESH_EMBEDDINGS__MODEL",
        "off",
        one_of("off", "local", "endpoint"),
        "What compares questions and passages by meaning, beside their words: `local` is a small model on this machine, "
        "`endpoint` the one of VIGIMESH_EMBEDDINGS__BASE_URL; with `off`, or while it is away, words alone answer.",
    )
    base_url: str = declare(
        "VIGIMESH_EMBEDDINGS__BASE_URL",
        "",
        url_with("http", "https"),
        "Base URL of an OpenAI-compatible endpoint whose `/embeddings` is asked. The passages of all documents go there, and of the questions "
        "those that begin with a product of the knowledge base and in which nothing looks like personal data.",
    )
    name: str = declare(
        "VIGIMESH_EMBEDDINGS__NAME",
        "",
        TEXT,
        "Name of the model there. A changed model needs another name: vectors of two models are never compared.",
    )
    key: str = declare("VIGIMESH_EMBEDDINGS__KEY", "", SECRET, "Key of that endpoint; none when empty.")
    dimensions: int = declare(
        "VIGIMESH_EMBEDDINGS__DIMENSIONS", 384, number(1, 4_096), "Numbers of one vector of that model."
    )
    deadline_s: int = declare(
        "VIGIMESH_EMBEDDINGS__DEADLINE_S",
        5,
        number(1, 60),
        "Seconds for one request to that endpoint; after them words alone answer.",
    )
