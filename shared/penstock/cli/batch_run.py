"""`penstock batch run`: a file of requests answered on this machine, without a server, by processes of its own."""

import os
from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.failure import Failure
from penstock.cli.ledgers import Data, data_directory


def run(
    file: Annotated[Path, typer.Argument(metavar="IN.jsonl", help="The requests, one a line.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.jsonl", help="Write the answers here.")],
    errors: Annotated[
        Path | None,
        typer.Option("--errors", metavar="FILE", help="Write the lines that are errors here (default: beside OUT)."),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Processes that answer.")] = 1,
    model: Annotated[
        str | None,
        typer.Option("--model", help="A model of penstock.toml (default: all), a folder, or a repository of the hub."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="From the beginning, whatever there is already.")] = False,
    key_id: Annotated[
        str | None, typer.Option("--key-id", metavar="ID", help="The key that pays (default: the first one).")
    ] = None,
    data: Data = None,
) -> None:
    """Answer a file of requests on this machine. The same command goes on where it was, whatever ended it.

    Exit code 0: completed; 3: completed, with errors; 2: the input is wrong; 1: it failed; 130: stopped.
    """
    from penstock.cli.batching.local_run import LocalRun  # noqa: PLC0415
    from penstock.cli.batching.run_folder import RunFolder  # noqa: PLC0415
    from penstock.cli.serving.checkout import checkout  # noqa: PLC0415

    root, directory = checkout(), data_directory(data)
    _check(file, output, beside := errors or output.with_suffix(".errors.jsonl"))
    umask = os.umask(0o077)
    directory.prepare()
    folder = RunFolder.of(directory, file, output, model)
    with folder.owned():
        if again:
            folder.clear()
        config = root / "penstock.toml" if model is None else folder.chosen(model, root / "penstock.toml")
        code = LocalRun(directory, folder, config, file, output, beside, workers, key_id, umask).go()
    raise typer.Exit(code)


def _check(source: Path, output: Path, errors: Path) -> None:
    """What can be said at once. Raises Failure."""
    if not source.is_file():
        raise Failure(f"{source}: no such file" if not source.exists() else f"{source}: not a file", exit_code=2)
    if len({path.absolute() for path in (source, output, errors)}) < 3:
        raise Failure("the input, the answers and the errors must be three files", exit_code=2)
    for path in (output, errors):
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise Failure(f"{path}: cannot be written there", exit_code=2)
