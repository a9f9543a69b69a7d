"""`penstock files`: what was uploaded for batches, and what they made."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.endpoint import DEFAULT_URL, ApiKey, Url, calling
from penstock.cli.ledgers import Data
from penstock.cli.output import print_json, print_table, short_time
from penstock.cli.progress import size
from penstock.clock import SECOND

app = typer.Typer(help="Upload files for batches, and fetch what they made.", no_args_is_help=True)

FileId = Annotated[str, typer.Argument(metavar="ID", help="The file's id.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def upload(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to upload.")],
    *,
    url: Url = DEFAULT_URL,
    key: ApiKey = None,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Upload a file for a batch; print its id."""
    with calling(url, key, data) as client:
        made = client.files.create(file=file)
    if as_json:
        print_json(made.model_dump())
    else:
        typer.echo(made.id)


@app.command("list")
def list_files(
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="So many at most.")] = 20,
    after: Annotated[str | None, typer.Option("--after", metavar="ID", help="Those made before this one.")] = None,
    url: Url = DEFAULT_URL,
    key: ApiKey = None,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """List the files, newest first."""
    with calling(url, key, data) as client:
        page = client.files.list(limit=limit, after=after)
    if as_json:
        print_json(page.model_dump())
        return
    rows = [
        (file.id, file.filename, size(file.bytes), file.purpose, short_time(file.created_at * SECOND))
        for file in page.data
    ]
    print_table(("id", "name", "size", "purpose", "made"), rows, numbers=("size",))
    if page.has_more:
        typer.echo(f"There are more: --after {page.last_id}")


@app.command()
def content(
    file_id: FileId,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it here (default: standard output).")
    ] = None,
    url: Url = DEFAULT_URL,
    key: ApiKey = None,
    data: Data = None,
) -> None:
    """Fetch a file's content."""
    with calling(url, key, data) as client, client.files.content(file_id) as coming:
        if output is not None:
            coming.stream_to(output)
            return
        for part in coming:
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()


@app.command()
def delete(file_id: FileId, *, url: Url = DEFAULT_URL, key: ApiKey = None, data: Data = None) -> None:
    """Remove a file."""
    with calling(url, key, data) as client:
        client.files.delete(file_id)
    typer.echo(f"removed {file_id}")
