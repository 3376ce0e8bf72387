"""README's table of topics, made from `events.topics`, and the place between markers where it stands."""

from __future__ import annotations

from itertools import groupby

from vigimesh.errors import Misconfigured
from vigimesh.events.topics import PREFIX, TOPICS, Topic

BEGIN = "<!-- topics: begin (made by `vigimesh topics table`) -->"
END = "<!-- topics: end -->"


def topics_table_markdown() -> str:
    """Return the table in Markdown, one line for topics that differ in lane or door only; ends with a line feed."""
    lines = [
        "| topic (`vigimesh.`) | event | key | policy | written by | read by | holds |",
        "|---|---|---|---|---|---|---|",
    ]
    for _, same in groupby(TOPICS, key=_alike):
        lines.append(_line(tuple(same)))
    return "\n".join(lines) + "\n"


def with_table(text: str, where: str) -> str:
    """Return `text` with the table between its markers; raises `Misconfigured` VM-1102 when the markers are missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise Misconfigured("VM-1102", what="the markers of the topics table are missing", where=where,
                            todo=f"add the lines `{BEGIN}` and `{END}`")  # fmt: skip
    return f"{before}{BEGIN}\n{topics_table_markdown()}{END}{after}"


def _alike(topic: Topic) -> tuple[object, ...]:
    return topic.event, topic.key, topic.policy, topic.writers, topic.readers


def _line(topics: tuple[Topic, ...]) -> str:
    first, *others = (topic.name.removeprefix(PREFIX) for topic in topics)
    names = " ".join([f"`{first}`", *(f"`.{name.rpartition('.')[2]}`" for name in others)])
    topic, holds = topics[0], max((topic.holds for topic in topics), key=len)
    cells = (
        names, f"[{topic.event.__name__}](schemas/{topic.schema_file})", topic.key, topic.policy,
        ", ".join(topic.writers), ", ".join(topic.readers), holds,
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"
