"""A line of a shard, read and within what its caller may have: what is needed to answer it, and to reserve for it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import orjson
from pydantic import TypeAdapter, ValidationError

from penstock.admission import Demand, bound_of, request_id_of
from penstock.batches.log import Result
from penstock.batches.orders import ShardLine
from penstock.entitlement import require_route
from penstock.errors import ApiError, BadRequest, BodyTooLarge, NotFound
from penstock.intakes import INTAKES, model_of
from penstock.ledger import Bound, Caller
from penstock.models import ModelTable, ServedModel
from penstock.prices import Price

MOST_LINES = 10_000  # of a shard
TOKEN_BYTES = 8  # of an answer, to reckon with; logprobs are some more
LOGPROB_BYTES = 150  # of one candidate
# Of an answer whose length nobody has limited, tokens, or this part of the context where that is more: few are as long
# as the context allows, and a slice of those that are is no larger than one answer may be (answers.MAX_ANSWER).
EXPECTED_TOKENS = 1_024
EXPECTED_PART = 8
NUMBER_BYTES = 13  # of an embedding
ENVELOPE_BYTES = 1_000

_LINES = TypeAdapter(list[ShardLine])


@dataclass(frozen=True, slots=True)
class Line:
    """A line that may be answered."""

    number: int
    request_id: str
    path: str
    body: bytes
    bound: Bound
    answer_bytes: int  # that its answer is expected to have at most

    def refused(self, error: ApiError) -> Result:
        """Its result, where it is not answered."""
        return Result(self.number, error.status, self.request_id, orjson.dumps(error.envelope()))


@dataclass(frozen=True, slots=True)
class Terms:
    """What a line is read and reserved by."""

    batch_id: str
    model: ServedModel
    caller: Caller
    price: Price
    max_body_bytes: int
    embedding_size: int | None


def read_shard(content: bytes) -> Sequence[ShardLine]:
    """The lines of a shard's object. Raises ValueError, in one line."""
    rows = content.splitlines()
    if len(rows) > MOST_LINES:
        raise ValueError(f"a shard has at most {MOST_LINES} lines, not {len(rows)}")
    try:
        return _LINES.validate_python([orjson.loads(row) for row in rows], strict=True)
    except (orjson.JSONDecodeError, ValidationError) as error:
        raise ValueError(f"a line of a shard is none: {' '.join(str(error).split())[:200]}") from None


def request_id(batch_id: str, line: int) -> str:
    """The line's own id."""
    return request_id_of(f"{batch_id}/{line}")


def read_line(line: ShardLine, terms: Terms) -> Line:
    """The line, as a request over HTTP would be read. Raises ApiError."""
    intake = INTAKES.get(line["url"])
    if intake is None:
        raise NotFound(f"A line asks for one of {', '.join(INTAKES)}.", param="url")
    require_route(terms.caller, intake.group)
    body = orjson.dumps(line["body"])
    if len(body) > terms.max_body_bytes:
        raise BodyTooLarge(f"The body is over the limit of {terms.max_body_bytes} bytes.")
    asked = intake.take(line["body"])
    if asked.stream:
        raise BadRequest("A line of a batch is not streamed.", param="stream", code="unsupported_parameter")
    intake.require(asked, model_of(asked, ModelTable([terms.model])), terms.caller)
    demands = asked.demands()
    return Line(
        number=line["line"],
        request_id=request_id(terms.batch_id, line["line"]),
        path=intake.path,
        body=body,
        bound=bound_of(terms.model, terms.price, *demands),
        answer_bytes=_answer_bytes(line, demands, terms),
    )


def refused(line: ShardLine, batch_id: str, error: ApiError) -> Result:
    """The result of a line that cannot be read, or is not."""
    number = line["line"]
    return Result(number, error.status, request_id(batch_id, number), orjson.dumps(error.envelope()))


def _expected_tokens(model: ServedModel) -> int:
    return min(model.context_length, max(EXPECTED_TOKENS, model.context_length // EXPECTED_PART))


def _answer_bytes(line: ShardLine, demands: Iterable[Demand], terms: Terms) -> int:
    """What the answer is expected to come to. The body was found good, so its fields are what they should be."""
    body, tokens, prompts = line["body"], 0, 0
    for demand in demands:
        prompts += 1
        most = _expected_tokens(terms.model) if demand.max_tokens is None else demand.max_tokens
        echoed = demand.prompt_bytes + (demand.prompt_tokens or 0) if body.get("echo") else 0
        tokens += demand.choices * min(most + echoed, terms.model.context_length)
    asked = int(body.get("logprobs") or 0)  # a chat's is True, or False
    candidates = asked and 1 + max(asked, int(body.get("top_logprobs") or 0))
    embedded = prompts * NUMBER_BYTES * (terms.embedding_size or 0) if "input" in body else 0
    return ENVELOPE_BYTES + tokens * (TOKEN_BYTES + candidates * LOGPROB_BYTES) + embedded
