"""The commands about models: the stand-in for a large one, and the small ones made and tuned. Registered in `cli`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vigimesh.app.lazy import load
from vigimesh.app.options import AsJson, one_of


def standin(  # noqa: PLR0913  typer wants one parameter for each option
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, metavar="N", help="Port on loopback; 0 takes a free one.")
    ] = 0,
    latency_ms: Annotated[
        float, typer.Option("--latency-ms", metavar="MS", help="Median of its log-normal latency.")
    ] = 250.0,
    spread: Annotated[
        float, typer.Option("--spread", metavar="S", help="Standard deviation of the latency's logarithm.")
    ] = 0.3,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="What everything is drawn from.")] = 1,
    accuracy: Annotated[
        float, typer.Option("--accuracy", metavar="P", help="Share of labelled questions answered right.")
    ] = 0.97,
    faults: Annotated[
        str,
        typer.Option(
            "--faults", metavar="LIST",
            help="Shares of faults, such as 429=0.01,hang=0.001: an error status, hang, close, cut, truncated, no-usage, "
            "drip. [default: none]",
        ),
    ] = "",
    oracle: Annotated[
        Path | None,
        typer.Option(
            "--oracle", metavar="FILE", exists=True, dir_okay=False,
            help="JSON lines with the right answers: key, gold, wrong. [default: labels in requests]",
        ),
    ] = None,
    batch_start_s: Annotated[
        float, typer.Option("--batch-start-s", metavar="S", help="Median of the time before a batch starts.")
    ] = 600.0,
    batch_item_s: Annotated[
        float, typer.Option("--batch-item-s", metavar="S", help="Time that each request of a batch takes.")
    ] = 0.5,
    batch_faults: Annotated[
        str,
        typer.Option("--batch-faults", metavar="LIST", help="Shares of requests that fail in a batch: 500=0.01. [default: none]"),
    ] = "",
) -> None:  # fmt: skip
    """Serve a stand-in for a large model on loopback.

    It speaks as an OpenAI-compatible endpoint does (chat, embeddings, files, batches), is no model, and says so in every
    reply. GET /standin/calls shows what it was asked and would have billed; POST /standin/clock moves the clock of its
    batches. Runs in the foreground until SIGTERM.
    """
    from vigimesh.app.standin.profile import BatchProfile, Profile, read_faults

    try:
        batch = BatchProfile(start_s=batch_start_s, item_s=batch_item_s, faults=read_faults(batch_faults))
        profile = Profile(
            latency_ms=latency_ms, spread=spread, seed=seed, accuracy=accuracy, faults=read_faults(faults), batch=batch
        )  # fmt: skip
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    load("vigimesh.app.standin.serve:serve_standin")(profile, port, oracle)


def train(
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Folder of the labelled data: VAERS tables, PsyTAR, PHEE.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where the models and their cards are written.")
    ] = Path("small-models"),
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="serious, grave (shares the words of serious), adverse_event or extraction. [default: all]")
    ] = "",
    last_year: Annotated[
        int | None,
        typer.Option(
            "--last-year", metavar="YEAR",
            help="Reports before it train, its own calibrate, certify and are held out. [default: the last that is found]",
        ),
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(
            "--from-answers", metavar="FILE",
            help="Also learn seriousness from what the large tier said of reports in DIR that nobody labelled (`calls answers` writes FILE).",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Make the small models anew from labelled data.

    Needs scikit-learn. The same data makes the same files; each model comes with a card that says what it is worth.
    """
    from vigimesh.domain.cascade.shipped import EVERY

    if model:
        one_of(model, EVERY, "--model")
    command = load("vigimesh.app.train.command:train_command")
    models = (model,) if model else EVERY
    raise typer.Exit(
        command(data=data, out=out, models=models, last_year=last_year, as_json=as_json, answers=answers)
    )


def tune(
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Labelled history: a folder of VAERS tables.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="FILE", help="Or what `vigimesh cascade export` wrote.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the curve is written.")] = Path("tuned"),
    call_micro: Annotated[
        int, typer.Option("--call-micro", min=0, metavar="N", help="Price of one large call, millionths of your currency.")
    ] = 0,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Draw what thresholds of the small model cost.

    On labelled history that the model was not made from: curve.json, curve.svg and curve.png.
    """
    if (data is None) == (labels is None):
        raise typer.BadParameter("give --data or --labels")
    command = load("vigimesh.app.train.tune:tune_command")
    raise typer.Exit(command(data=data, labels=labels, out=out, call_micro=call_micro, as_json=as_json))
