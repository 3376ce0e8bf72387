"""`vigimesh deadletter`: what could not be worked on, and the two ways out of it: back to its topic, or closed.

A record's payload is personal data: it is shown only with `--payload`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vigimesh.app.exits import NOT_HELD
from vigimesh.app.options import AsJson, Data, print_json
from vigimesh.errors import Refused, explanations

if TYPE_CHECKING:
    from vigimesh.adapters.kafka.desks.dead_letters import Letter, Settled, Unreadable
    from vigimesh.app.config.settings import Settings
    from vigimesh.app.operators.redrive import Order, Wanted
    from vigimesh.events.codec import Codec

app = typer.Typer(
    name="deadletter", help="What could not be worked on: list, show, redrive, close.", no_args_is_help=True
)

#: Dead letters that a preview names; the count is of all.
SHOWN = 20
#: Characters of a payload that `show --payload` prints of a value that is no event.
PAYLOAD_CHARS = 20_000

_Ids = Annotated[
    list[str] | None, typer.Option("--id", metavar="ID", help="Event id or its beginning; may be repeated.")
]
_Code = Annotated[str, typer.Option("--code", metavar="CODE", help="Only this error code, e.g. VM-1307.")]
_Stage = Annotated[str, typer.Option("--stage", help="Only what this stage gave up.")]
_Topic = Annotated[str, typer.Option("--topic", help="Only what was read there, e.g. plan.hot.")]
_Workflow = Annotated[str, typer.Option("--workflow", help="Only this workflow card.")]
_Lane = Annotated[str, typer.Option("--lane", help="Only this lane: hot, warm or cold.")]
_Since = Annotated[
    str,
    typer.Option("--since", metavar="TIME", help="Given up then or later: ISO 8601, or an age (90m, 3d)."),
]
_Until = Annotated[str, typer.Option("--until", metavar="TIME", help="Given up before then.")]
_All = Annotated[bool, typer.Option("--all", help="All of them, where no other option says which.")]
_Yes = Annotated[bool, typer.Option("--yes", help="Do it. Without it, only what would be done is shown.")]
_By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it; goes to the audit.")]
_Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; goes to the audit. No case text.")
]


@app.command("list")
def list_command(  # noqa: PLR0913  typer wants one parameter for each option
    ids: _Ids = None, code: _Code = "", stage: _Stage = "", topic: _Topic = "", workflow: _Workflow = "",
    lane: _Lane = "", since: _Since = "", until: _Until = "", data: Data = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """List open dead letters, the oldest first.

    Those redriven or closed are left out.
    """
    wanted = _wanted(ids, code, stage, topic, workflow, lane, since, until)
    desk = _desk(data)
    letters, unreadable = desk.letters(wanted)
    if as_json:
        print_json({"dead_letters": [_plain(letter) for letter in letters], "count": len(letters),
                     "unreadable": [asdict(one) for one in unreadable]})  # fmt: skip
        return
    _show_lines(letters, len(letters))
    _show_unreadable(unreadable)


@app.command()
def show(
    given: Annotated[str, typer.Argument(metavar="ID", help="Event id or its beginning.")],
    payload: Annotated[
        bool, typer.Option("--payload", help="Show the record's value: personal data.")
    ] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter.

    With its cause, what to do about it, and its headers; never its payload unless asked for.
    """
    from vigimesh.app.operators.redrive import Wanted

    desk = _desk(data)
    letters, _ = desk.letters(Wanted(given=(given,)))
    exact = [letter for letter in letters if letter.event.event_id == given] or letters
    if len(exact) != 1:
        raise Refused(
            "VM-1720", what=f"{len(exact)} open dead letters go by {given!r}", where="vigimesh.deadletter",
            todo="see their ids with `vigimesh deadletter list`, or give more of the id",
        )  # fmt: skip
    letter = exact[0]
    title, todo = explanations().get(letter.event.code, ("", ""))
    body = {
        **_plain(letter), "title": title, "todo": todo,
        "key": letter.event.key.decode("utf-8", "replace"),
        "headers": {header.name: header.value.decode("utf-8", "replace") for header in letter.event.headers},
    }  # fmt: skip
    if payload:
        body["payload"] = desk.payload(letter)
    if as_json:
        print_json(body)
        return
    for name, value in body.items():
        if isinstance(value, dict):
            typer.echo(f"{name}:")
            for header, text in value.items():
                typer.echo(f"  {header}: {text}")
        else:
            typer.echo(
                f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
            )


@app.command()
def redrive(  # noqa: PLR0913  typer wants one parameter for each option
    ids: _Ids = None, code: _Code = "", stage: _Stage = "", topic: _Topic = "", workflow: _Workflow = "",
    lane: _Lane = "", since: _Since = "", until: _Until = "", everything: _All = False, by: _By = "",
    reason: _Reason = "", yes: _Yes = False, data: Data = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Send dead letters back to the topics they left.

    As they were and under their own ids, so that nothing doubles. Shows what it would do; does it with --yes.
    """
    from vigimesh.app.operators.redrive import Order

    wanted = _wanted(ids, code, stage, topic, workflow, lane, since, until)
    _which(wanted, everything)
    if yes:
        _require(by, "--by", "say who redrives: the audit keeps it")
    order = Order(action="redriven", by=by, reason=reason or "redriven by an operator")
    _carry_out(_desk(data), wanted, order, yes=yes, as_json=as_json)


@app.command()
def close(  # noqa: PLR0913  typer wants one parameter for each option
    ids: _Ids = None, code: _Code = "", stage: _Stage = "", topic: _Topic = "", workflow: _Workflow = "",
    lane: _Lane = "", since: _Since = "", until: _Until = "", everything: _All = False, by: _By = "",
    reason: _Reason = "", yes: _Yes = False, data: Data = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Close dead letters for good, without working on them.

    A person answers for it: --reason and --by are required. Shows what it would do; does it with --yes.
    """
    from vigimesh.app.operators.redrive import Order

    wanted = _wanted(ids, code, stage, topic, workflow, lane, since, until)
    _which(wanted, everything)
    _require(by, "--by", "say who answers for it")
    _require(reason, "--reason", "say why these need not be worked on")
    _carry_out(_desk(data), wanted, Order(action="closed", by=by, reason=reason), yes=yes, as_json=as_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """Where dead letters are read and settled."""

    settings: Settings
    base: dict[str, Any]
    codec: Codec

    def letters(self, wanted: Wanted) -> tuple[list[Letter], list[Unreadable]]:
        """Return the open dead letters that are meant."""
        from vigimesh.adapters.kafka.desks.dead_letters import open_letters
        from vigimesh.app.operators.redrive import chosen

        letters, unreadable = open_letters(self.base, self.codec)
        return chosen(letters, wanted), unreadable

    def settle(self, letters: Sequence[Letter], order: Order) -> Settled:
        """Settle them as ordered."""
        from vigimesh.adapters.kafka.desks.dead_letters import Operator, topics_there
        from vigimesh.app.operators.redrive import Settling
        from vigimesh.clock import SystemClock

        settling = Settling(
            order=order,
            codec=self.codec,
            clock=SystemClock(),
            fetch=self._fetch,
            there=topics_there(self.base),
        )
        operator = Operator(self.base, self.codec)
        return asyncio.run(operator.settle(letters, settling.settle, settling.total))

    def payload(self, letter: Letter) -> Any:
        """Return the record's value as JSON takes it: the event in it, else its bytes in hexadecimal."""
        from vigimesh.adapters.kafka.desks.dead_letters import value_of
        from vigimesh.events.topics import BY_NAME

        event = value_of(self.base, self.codec, letter)
        value = self._fetch(event.value_ref) if event.value_ref else event.value
        if event.topic in BY_NAME:
            import msgspec

            try:
                return msgspec.to_builtins(self.codec.decode(event.topic, value))
            except Refused:
                pass
        return {"hex": value[: PAYLOAD_CHARS // 2].hex(), "bytes": len(value)}

    def _fetch(self, digest: str) -> bytes:
        from vigimesh.adapters.objects.store import ObjectStore

        self.settings.require("objects.url")
        return ObjectStore(self.settings.objects.url).get(digest)


def _desk(data: Path | None) -> _Desk:
    """Join the commands to a cluster; raises `Misconfigured` VM-1102 or VM-1705 when nothing names one."""
    from vigimesh.app.config.clients import codec_of, quiet_kafka_of
    from vigimesh.app.config.located import settings_for

    settings = settings_for(data, "kafka.bootstrap", "registry.url")
    base = quiet_kafka_of(settings)
    return _Desk(settings=settings, base=base, codec=codec_of(settings))


def _wanted(  # noqa: PLR0913  one for each option
    ids: list[str] | None, code: str, stage: str, topic: str, workflow: str, lane: str, since: str, until: str
) -> Wanted:  # fmt: skip
    """Return the filter of the options; an option that can match nothing is refused."""
    from vigimesh.app.operators.redrive import Wanted, full_topic, moment
    from vigimesh.clock import SystemClock
    from vigimesh.events.topics import BACKGROUND, LANES, STAGES

    stages = (*STAGES, *(name for name, _ in BACKGROUND))
    for given, known, option in ((stage, stages, "--stage"), (lane, LANES, "--lane")):
        if given and given not in known:
            raise typer.BadParameter(f"{option} takes {', '.join(known)}; not {given!r}")
    now = SystemClock().now().astimezone(UTC)
    times = []
    for option, text in (("--since", since), ("--until", until)):
        try:
            times.append(moment(text, now))
        except ValueError:
            raise typer.BadParameter(
                f"{option} takes a time such as 2026-03-02T12:00 (UTC) or an age such as 90m, 2h, 3d; not {text!r}"
            ) from None
    number = code.upper().removeprefix("VM-")
    return Wanted(
        given=tuple(ids or ()), code=f"VM-{number}" if number else "", stage=stage, topic=full_topic(topic),
        workflow=workflow, lane=lane, since=times[0], until=times[1],
    )  # fmt: skip


def _which(wanted: Wanted, everything: bool) -> None:
    """Refuse to take all for want of a word."""
    if wanted.everything and not everything:
        raise typer.BadParameter("say which dead letters: --id, --code, --stage and so on, or --all")
    if not wanted.everything and everything:
        raise typer.BadParameter("--all goes with no other choice")


def _require(value: str, option: str, why: str) -> None:
    if not value.strip():
        raise typer.BadParameter(f"{option} is required: {why}")


def _carry_out(desk: _Desk, wanted: Wanted, order: Order, *, yes: bool, as_json: bool) -> None:
    """Show what an order means, and carry it out with `yes`; exit status 1 when some could not be settled."""
    letters, unreadable = desk.letters(wanted)
    if not yes:
        if as_json:
            print_json({"dry_run": True, "action": order.action, "count": len(letters),
                         "dead_letters": [_plain(letter) for letter in letters]})  # fmt: skip
            return
        _show_lines(letters[:SHOWN], len(letters))
        _show_unreadable(unreadable)
        if letters:
            typer.echo(
                f"{len(letters)} would be {order.action}; nothing was done. Do it: the same with --yes"
            )
        return
    settled = desk.settle(letters, order)
    if as_json:
        print_json({"dry_run": False, "action": order.action, "count": len(settled.done), "done": settled.done,
                     "gone": settled.gone, "failed": [asdict(one) for one in settled.failed]})  # fmt: skip
    else:
        for event_id in settled.gone:
            typer.echo(f"{event_id}  no longer open, or given up again meanwhile: left as it is")
        for one in settled.failed:
            typer.echo(f"{one.event_id}  {one.why}")
        typer.echo(
            f"{order.action} {len(settled.done)}, no longer open {len(settled.gone)}, failed {len(settled.failed)}"
        )
    if settled.failed:
        raise typer.Exit(NOT_HELD)


def _plain(letter: Letter) -> dict[str, Any]:
    """Return a dead letter for JSON, without anything of its payload."""
    event = letter.event
    return {
        "id": event.event_id, "given_up_at": letter.at.isoformat(), "code": event.code, "cause": event.cause,
        "stage": event.stage, "attempt": event.attempt, "topic": event.topic, "partition": event.partition,
        "offset": event.offset, "appended_at": event.appended_at.isoformat(), "message_id": event.message_id,
        "workflow": event.workflow, "lane": event.lane, "bytes": letter.size, "value_ref": event.value_ref,
    }  # fmt: skip


def _show_lines(letters: Sequence[Letter], count: int) -> None:
    if not letters:
        typer.echo("no open dead letter matches", err=True)
        return
    wide = max(len(letter.event.event_id) for letter in letters)
    for letter in letters:
        event = letter.event
        whose = "/".join(word for word in (event.workflow, event.lane) if word) or "-"
        typer.echo(
            f"{letter.at:%Y-%m-%d %H:%M:%S}  {event.event_id:{wide}}  {event.code}  {event.stage}  {event.topic}  {whose}"
        )
    if count > len(letters):
        typer.echo(f"… and {count - len(letters)} more: vigimesh deadletter list")


def _show_unreadable(unreadable: Sequence[Unreadable]) -> None:
    for one in unreadable:
        typer.echo(
            f"{one.key}  at {one.where} is no dead letter that this version reads: {one.why}", err=True
        )
