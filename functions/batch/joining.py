"""Joining: what the shards' logs say is put in the input's order, as OpenAI's output and error file.

    {"id", "custom_id", "response": {"status_code", "request_id", "body"}, "error": null}
    {"id", "custom_id", "response": null, "error": {"code", "message"}}          a line that was never run

(OpenAI's API reference, "The request output object".) Answers with 200 are the output, everything else is the errors.
Both files are made of the logs' results alone, and every slice with results is settled again, so that what is billed is
what the files hold. In memory there is what is known of a window's lines, and a part of each file; answers are on the
disk (see `answers`). Joining may be done again: the same logs make the same files.
"""

from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import groupby

import orjson
import structlog

from functions.batch.answers import Answers
from functions.batch.joined_file import JoinedFile
from functions.batch.settling import Settling
from penstock.admission import request_id_of
from penstock.batches import log
from penstock.batches.addresses import shard_input
from penstock.batches.log import Ended, Result
from penstock.batches.records import NOTHING, Batch, Shard
from penstock.ledger import Ledger, Usage
from penstock.objects import Objects

LINE_FAILED = "line_failed"

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Joined:
    """What a batch came to. Every line is in one of `completed`, `failed` and `missing`."""

    completed: int
    failed: int  # refused, failed, or given up with their shard
    missing: int  # never run: the batch was cancelled, or its time was over
    usage: Usage
    output_size: int  # bytes; 0: there is no such file
    error_size: int


async def join(batch: Batch, shards: Iterable[Shard], objects: Objects, ledger: Ledger) -> Joined:
    """Make the batch's output and error file, of shards to whose logs nothing is added any more.

    Raises ObjectsUnavailable and LedgerUnavailable; then there are no new files.
    """
    async with AsyncExitStack() as stack:
        output = JoinedFile(objects, batch.output_address, stack)
        errors = JoinedFile(objects, batch.error_address, stack)
        joining = _Joining(batch, objects, Settling(ledger), output, errors)
        ordered = sorted(shards, key=lambda shard: (shard.window, shard.number))
        for _, window in groupby(ordered, key=lambda shard: shard.window):
            await joining.window(list(window))
        await output.end()
        await errors.end()
    return joining.joined()


class _Joining:
    """One joining of one batch."""

    def __init__(
        self, batch: Batch, objects: Objects, settling: Settling, output: JoinedFile, errors: JoinedFile
    ) -> None:
        self._batch = batch
        self._objects = objects
        self._settling = settling
        self._output = output
        self._errors = errors
        self._unrun = _unrun(batch)
        self._completed = self._failed = self._missing = 0
        self._usage = NOTHING

    async def window(self, shards: Sequence[Shard]) -> None:
        """Write the results of the lines of one window."""
        custom_ids: dict[int, str] = {}
        with Answers() as answers:
            for shard in shards:
                custom_ids.update(await self._custom_ids(shard))
                await self._settled(shard, answers)
            for lines in answers.runs(sorted(custom_ids)):
                if not answers.holds(lines):
                    answers.drop()
                    await self._fetched(shards, set(lines), answers)
                for line in lines:
                    await self._write(line, custom_ids[line], answers.get(line))

    def joined(self) -> Joined:
        """What was written."""
        return Joined(self._completed, self._failed, self._missing, self._usage, self._output.size, self._errors.size)

    # -- reading ----------------------------------------------------------------------------------

    async def _custom_ids(self, shard: Shard) -> dict[int, str]:
        """Of the shard's lines, by their numbers."""
        content = await self._objects.get(shard_input(shard.batch_id, shard.number))
        lines = map(orjson.loads, content.splitlines())
        return {line["line"]: line["custom_id"] for line in lines}

    async def _settled(self, shard: Shard, answers: Answers) -> None:
        """Settle the shard's slices, and keep their results."""
        ended, begun = [], {}
        async for entry in log.entries(self._objects, shard.batch_id, shard.number):
            if isinstance(entry, log.Begun):
                begun[entry.slice] = entry
            elif isinstance(entry, Ended):
                begun.pop(entry.slice, None)
                self._count(entry)
                for result in entry.results:
                    answers.add(result)
                ended.append(Ended(entry.slice, entry.lease, entry.usage, ()))
        await self._settling.settle(ended)
        await self._settling.release(begun.values())

    async def _fetched(self, shards: Sequence[Shard], lines: set[int], answers: Answers) -> None:
        """Keep the results of these lines."""
        for shard in shards:
            async for entry in log.entries(self._objects, shard.batch_id, shard.number):
                if isinstance(entry, Ended):
                    for result in entry.results:
                        if result.line in lines:
                            answers.add(result)

    def _count(self, slice_: Ended) -> None:
        self._usage = _sum([self._usage, slice_.usage])
        told = _sum([_usage_of(result.body) for result in slice_.results if result.status == 200])
        if told != slice_.usage:
            logger.error("usage_differs", batch=self._batch.id, slice=slice_.slice, told=told, settled=slice_.usage)

    # -- writing ----------------------------------------------------------------------------------

    async def _write(self, line: int, custom_id: str, result: Result | None) -> None:
        if result is None:
            await self._write_unrun(line, custom_id)
            return
        body = orjson.Fragment(result.body)
        response = {"status_code": result.status, "request_id": result.request_id, "body": body}
        written = _line(result.request_id, custom_id, response, None)
        if result.status == 200:
            self._completed += 1
            await self._output.add(written)
        else:
            self._failed += 1
            await self._errors.add(written)

    async def _write_unrun(self, line: int, custom_id: str) -> None:
        code, message = self._unrun
        if code == LINE_FAILED:
            self._failed += 1
        else:
            self._missing += 1
        request_id = request_id_of(f"{self._batch.id}/{line}")
        await self._errors.add(_line(request_id, custom_id, None, {"code": code, "message": message}))


def _line(
    request_id: str, custom_id: str, response: dict[str, object] | None, error: dict[str, object] | None
) -> bytes:
    said = {"id": f"batch_{request_id}", "custom_id": custom_id, "response": response, "error": error}
    return orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE)


def _unrun(batch: Batch) -> tuple[str, str]:
    """Why lines without a result have none: code and message."""
    if batch.cancelling_at is not None:
        return "batch_cancelled", "This request was not run: its batch was cancelled."
    if batch.finalizing_at is not None and batch.finalizing_at >= batch.expires_at:
        return "batch_expired", "This request was not run within the batch's completion window."
    return LINE_FAILED, "This request was given up: every worker that had it died."


def _usage_of(body: bytes) -> Usage:
    """What an answer says was used. Most name it last, so that the rest need not be read."""
    try:
        usage = orjson.loads(b"{" + body[body.rindex(b'"usage":') :])["usage"]
    except ValueError:
        usage = orjson.loads(body)["usage"]
    details = usage.get("prompt_tokens_details") or {}
    return Usage(usage["prompt_tokens"], details.get("cached_tokens", 0), usage.get("completion_tokens", 0))


def _sum(usages: Sequence[Usage]) -> Usage:
    return Usage(
        sum(one.prompt_tokens for one in usages),
        sum(one.cached_prompt_tokens for one in usages),
        sum(one.completion_tokens for one in usages),
    )
