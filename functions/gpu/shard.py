"""A shard of a batch: lines that are answered or refused one by one, in the form of OpenAI's Batch API.

A line is `{"custom_id", "method": "POST", "url", "body"}`, its result `{"id", "custom_id", "response":
{"status_code", "request_id", "body"}, "error"}`: a refusal is a response with its status and envelope, as it
would be over HTTP. (OpenAI's API reference: "The request input object" and "The request output object".)
Which lines make a shard, and what becomes of results, is the batch's business.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import structlog

from penstock.admission import request_id_of
from penstock.errors import ApiError, BadRequest, Internal
from penstock.intakes import INTAKES

AT_ONCE = 64  # lines that are under way; what the engine does not run of them waits in its queue
MOST_LINES = 10_000

log = structlog.get_logger()


class Answering(Protocol):
    """What a shard needs of whoever answers."""

    async def whole(self, request: Mapping[str, Any], *, api_key: str | None, call: str) -> dict[str, Any]:
        """The answer to one request. Raises ApiError."""


async def run_shard(
    answering: Answering, lines: Sequence[Mapping[str, Any]], *, api_key: str | None, call: str
) -> list[dict[str, Any]]:
    """As many results, in the order of the lines. Raises BadRequest where the lines are no shard."""
    _check(lines)
    under_way = asyncio.Semaphore(AT_ONCE)

    async def run(line: Mapping[str, Any]) -> dict[str, Any]:
        async with under_way:
            return await _answered(answering, line, api_key, f"{call}/{line['custom_id']}")

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(run(line)) for line in lines]
    return [task.result() for task in running]


def _check(lines: object) -> None:
    if not isinstance(lines, list):
        raise BadRequest("A shard is a list of lines.")
    if not all(isinstance(line, dict) for line in lines):
        raise BadRequest("A line is an object.")
    if len(lines) > MOST_LINES:
        raise BadRequest(f"A shard has at most {MOST_LINES} lines, not {len(lines)}.")
    names = [line.get("custom_id") for line in lines]
    if not all(isinstance(name, str) and name for name in names):
        raise BadRequest("Every line needs a custom_id, a text that is not empty.", param="custom_id")
    if len(set(names)) < len(names):
        raise BadRequest("Every line needs a custom_id of its own.", param="custom_id")


async def _answered(answering: Answering, line: Mapping[str, Any], api_key: str | None, call: str) -> dict[str, Any]:
    try:
        status, body = 200, await answering.whole(_request(line), api_key=api_key, call=call)
    except ApiError as error:
        status, body = error.status, error.envelope()
    except Exception:
        # One line's; the others go on, and have their answers.
        log.exception("line_failed", call=call)
        broken = Internal("The line failed.")
        status, body = broken.status, broken.envelope()
    request_id = request_id_of(call)
    return {
        "id": f"batch_{request_id}",
        "custom_id": line["custom_id"],
        "response": {"status_code": status, "request_id": request_id, "body": body},
        "error": None,
    }


def _request(line: Mapping[str, Any]) -> Mapping[str, Any]:
    body, url = line.get("body"), line.get("url")
    if line.get("method") != "POST" or not isinstance(url, str) or url not in INTAKES:
        raise BadRequest(f"A line asks POST of one of {', '.join(INTAKES)}.", param="url")
    if not isinstance(body, dict):
        raise BadRequest("A line's body is an object.", param="body")
    return body
