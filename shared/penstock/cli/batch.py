"""`penstock batch`: files of requests, each answered once; against an API, or on this machine without one."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.batch_end import exit_code, say_errors
from penstock.cli.batch_run import run
from penstock.cli.endpoint import DEFAULT_URL, ApiKey, Url, calling
from penstock.cli.failure import Failure
from penstock.cli.ledgers import Data
from penstock.cli.output import iso_time, print_json, print_table, short_time
from penstock.clock import SECOND

if TYPE_CHECKING:
    from penstock.cli.batch_progress import Progress
    from penstock.client import Batch, Penstock

app = typer.Typer(help="Have files of requests answered, each line once.", no_args_is_help=True)
app.command()(run)

INTERRUPTED = 130
_LONGEST_LINE = 64 << 20  # bytes

BatchId = Annotated[str, typer.Argument(metavar="ID", help="The batch's id.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="OUT", help="Write the answers here, whole, at the end.")
]
Errors = Annotated[
    Path | None, typer.Option("--errors", metavar="FILE", help="And the lines that are errors (default: beside OUT).")
]


@app.command()
def submit(
    file: Annotated[Path, typer.Argument(metavar="IN.jsonl", help="The requests, one a line.")],
    *,
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", metavar="PATH", help="Of all lines (default: the first line's url).")
    ] = None,
    window: Annotated[str, typer.Option("--window", metavar="HOURS", help="How long it may take.")] = "24h",
    metadata: Annotated[
        list[str] | None, typer.Option("--metadata", metavar="NAME=VALUE", help="Kept with the batch; again for more.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end.")] = False,
    output: Output = None,
    errors: Errors = None,
    url: Url = DEFAULT_URL,
    key: ApiKey = None,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Upload a file of requests, and have it answered; print the batch's id."""
    if not wait and (output or errors):
        raise Failure("-o and --errors go with --wait", exit_code=2)
    named = endpoint or _first_url(file)
    pairs = dict(_pair(text) for text in metadata or [])
    with calling(url, key, data) as client:
        uploaded = client.files.create(file=file)
        made: Any = {"input_file_id": uploaded.id, "endpoint": named, "completion_window": window}
        batch = client.batches.create(**made, metadata=pairs or None)
        if wait:
            sys.stderr.write(f"{batch.id}\n")
            raise typer.Exit(_wait(client, batch.id, output, errors, name=str(file), as_json=as_json))
    _print(batch, as_json, lambda: typer.echo(batch.id))


@app.command()
def wait(
    batch_id: BatchId,
    *,
    output: Output = None,
    errors: Errors = None,
    url: Url = DEFAULT_URL,
    key: ApiKey = None,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Wait for a batch's end. Exit code 0: completed; 3: completed, with errors; 1: it ended otherwise."""
    with calling(url, key, data) as client:
        code = _wait(client, batch_id, output, errors, as_json=as_json)
    raise typer.Exit(code)


@app.command()
def status(
    batch_id: BatchId, *, url: Url = DEFAULT_URL, key: ApiKey = None, as_json: Json = False, data: Data = None
) -> None:
    """Show how far a batch is."""
    with calling(url, key, data) as client:
        batch = client.batches.retrieve(batch_id)
    _print(batch, as_json, lambda: _show(batch))


@app.command()
def cancel(
    batch_id: BatchId, *, url: Url = DEFAULT_URL, key: ApiKey = None, as_json: Json = False, data: Data = None
) -> None:
    """Have no more lines of a batch begun. What was done until then is in its files."""
    with calling(url, key, data) as client:
        batch = client.batches.cancel(batch_id)
    _print(batch, as_json, lambda: typer.echo(f"{batch.id}: {batch.status}"))


@app.command("list")
def list_batches(
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="So many at most.")] = 20,
    after: Annotated[str | None, typer.Option("--after", metavar="ID", help="Those made before this one.")] = None,
    url: Url = DEFAULT_URL,
    key: ApiKey = None,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """List the batches, newest first."""
    with calling(url, key, data) as client:
        page = client.batches.list(limit=limit, after=after)
    if as_json:
        print_json(page.model_dump())
        return
    print_table(
        ("id", "status", "lines", "done", "errors", "tokens", "made"),
        [_row(batch) for batch in page.data],
        numbers=("lines", "done", "errors", "tokens"),
    )
    if page.has_more:
        typer.echo(f"There are more: --after {page.last_id}")


def _row(batch: Any) -> tuple[str, ...]:
    counts = batch.request_counts
    numbers = (counts.total, counts.completed + counts.failed, counts.failed, batch.usage.total_tokens)
    return (batch.id, batch.status, *(f"{number:,}" for number in numbers), short_time(batch.created_at * SECOND))


def _wait(
    client: "Penstock", batch_id: str, output: Path | None, errors: Path | None, *, as_json: bool, name: str = ""
) -> int:
    """Wait, fetch what was asked for, and say how it ended; the exit code."""
    from penstock.cli.batch_progress import Display  # noqa: PLC0415

    try:
        with Display() as display:
            batch = client.batches.wait(batch_id, progress=lambda seen: display.show(_progress(seen)), poll=2.0)
    except KeyboardInterrupt:
        sys.stderr.write(f"{batch_id} goes on: `penstock batch wait` waits again, `penstock batch cancel` ends it.\n")
        return INTERRUPTED
    if batch.errors is not None:
        say_errors(batch.errors.data, name, more=batch.errors.has_more)
    _fetch(client, batch, output, errors)
    _print(batch, as_json, lambda: _show(batch))
    return exit_code(batch.status, batch.request_counts.failed)


def _fetch(client: "Penstock", batch: "Batch", output: Path | None, errors: Path | None) -> None:
    beside = None if output is None else output.with_suffix(".errors.jsonl")
    for file_id, path in ((batch.output_file_id, output), (batch.error_file_id, errors or beside)):
        if file_id is not None and path is not None:
            with client.files.content(file_id) as content:
                content.stream_to(path)


def _progress(batch: "Batch") -> "Progress":
    from penstock.cli.batch_progress import Progress  # noqa: PLC0415

    counts = batch.request_counts
    return Progress(batch.status, counts.total, counts.completed, counts.failed, batch.usage.total_tokens)


def _print(batch: "Batch", as_json: bool, otherwise: Callable[[], None]) -> None:
    if as_json:
        print_json(batch.model_dump())
    else:
        otherwise()


def _show(batch: "Batch") -> None:
    counts, usage = batch.request_counts, batch.usage
    typer.echo(f"{batch.id}: {batch.status}")
    if counts.total:
        left = counts.total - counts.completed - counts.failed
        rest = f", {left:,} {'not run' if batch.final else 'to do'}" if left else ""
        typer.echo(f"lines    {counts.total:,}: {counts.completed:,} answered, {counts.failed:,} errors{rest}")
        cached = usage.input_tokens_details.cached_tokens
        typer.echo(f"tokens   {usage.input_tokens:,} in ({cached:,} cached), {usage.output_tokens:,} out")
    typer.echo(f"made     {iso_time(batch.created_at * SECOND)}, to end by {iso_time(batch.expires_at * SECOND)}")
    for label, file_id in (("output", batch.output_file_id), ("errors", batch.error_file_id)):
        if file_id is not None:
            typer.echo(f"{label:<8} {file_id}")


def _first_url(file: Path) -> str:
    """The `url` of the first line that is not empty. Raises Failure, OSError."""
    import orjson  # noqa: PLC0415

    with file.open("rb") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(_LONGEST_LINE), b""), 1):
            if not line.strip():
                continue
            try:
                first = orjson.loads(line.removeprefix(b"\xef\xbb\xbf"))
            except orjson.JSONDecodeError as error:
                raise Failure(f"{file}:{number}: not JSON: {error}", exit_code=2) from error
            named = first.get("url") if isinstance(first, dict) else None
            if not isinstance(named, str):
                raise Failure(f"{file}:{number}: no url: the line says none, nor does --endpoint", exit_code=2)
            return named
    raise Failure(f"{file}: empty", exit_code=2)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise Failure(f"--metadata {text!r}: NAME=VALUE", exit_code=2)
    return name, value
