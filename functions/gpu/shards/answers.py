"""The answers to lines, each by way of the ASGI app of this process, as those over HTTP and to direct calls.

What may pass (429, and failures of ours) is tried again in place, a few times. A process that is stopping, or whose
engine has broken down, answers no line: it raises Broken, so that nothing is said of lines which another may answer.
"""

import asyncio
import random
from dataclasses import dataclass, replace

import orjson
from starlette.types import ASGIApp

from functions.gpu.passage import BrokeOff, Passage
from functions.gpu.process import Process
from functions.gpu.shards.line import Line
from penstock.batches.records import NOTHING
from penstock.clock import now_ms
from penstock.errors import AnswerTooLarge, ApiError, UpstreamFailed
from penstock.ledger import Lease, Usage

PAUSES_S = (0.5, 2.0, 8.0)  # before a line is tried again
MAX_ANSWER = 64 << 20  # bytes


class Broken(Exception):
    """This process will answer no more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a line: status and body as over HTTP, and what it used, which is nothing unless it is 200."""

    status: int
    body: bytes
    usage: Usage = NOTHING


class Answers:
    """Those of one process. Cancelling one ends its generation within a step."""

    def __init__(self, app: ASGIApp, process: Process) -> None:
        self._app = app
        self._process = process

    async def answer(self, line: Line, lease: Lease) -> Answer:
        """The answer to a line under its slice's lease. Raises Broken."""
        share = replace(lease, id=line.request_id, bound=line.bound, reserved_at=now_ms(), requests=1)
        for pause in PAUSES_S:
            answer = await self._once(line, share)
            if not _may_pass(answer):
                return answer
            self._require_working()
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
        answer = await self._once(line, share)
        if _may_pass(answer):
            self._require_working()
        return answer

    async def _once(self, line: Line, lease: Lease) -> Answer:
        self._require_working()
        service = self._process.service()
        headers = {"Penstock-Ticket": service.ticket(lease, line.body), "Content-Type": "application/json"}
        with service.line(lease) as tenure:
            try:
                async with Passage(self._app, line.path, headers, line.body) as passage:
                    await passage.begun()
                    body = await passage.body(MAX_ANSWER)
            except BrokeOff:
                return _refusal(UpstreamFailed("The GPU process broke off before the answer was whole."))
            except ValueError:
                return _refusal(AnswerTooLarge(f"The answer is over the limit of {MAX_ANSWER} bytes."))
            if passage.status == 200:
                return Answer(200, body, tenure.usage)
            return Answer(passage.status, body)

    def _require_working(self) -> None:
        try:
            working = self._process.service().working
        except ApiError:
            working = False
        if not working:
            raise Broken


def _may_pass(answer: Answer) -> bool:
    return answer.status == 429 or answer.status >= 500


def _refusal(error: ApiError) -> Answer:
    return Answer(error.status, orjson.dumps(error.envelope()))
