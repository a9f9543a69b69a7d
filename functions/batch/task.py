"""One line of a batch's input, read and checked as the request would be over HTTP.

    {"custom_id": "my-1", "method": "POST", "url": "/v1/chat/completions", "body": {...}}

(OpenAI's API reference, "The request input object".) What is wrong is raised as it would be over HTTP, with OpenAI's
codes for what only lines have: `invalid_json_line`, `duplicate_custom_id`, `url_mismatch`. Limits of accounts and keys
are the worker's to keep, when the line's turn has come.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from functions.batch.custom_ids import CustomIds
from penstock.admission import Demand, bound_of
from penstock.batches.orders import ShardLine
from penstock.entitlement import require_route
from penstock.errors import ApiError, BadRequest, BodyTooLarge
from penstock.intakes import INTAKES, Call, Intake, model_of
from penstock.ledger.records import Caller
from penstock.models import ModelTable, ServedModel
from penstock.prices import Price
from penstock.refusals import no_price
from penstock.schemas import ChatRequest, CompletionRequest

MAX_CUSTOM_ID = 512  # bytes
# Of an answer whose length nobody has limited, where work is spread: few are as long as the context allows.
EXPECTED_TOKENS = 1_024

_FIELDS = ("custom_id", "method", "url", "body")


@dataclass(frozen=True, slots=True)
class Task:
    """A good line. In the order of `beginning`, those whose prompts begin alike lie together."""

    number: int  # of the line, from 1
    model: str
    beginning: bytes
    tokens: int  # at most
    expected: int  # tokens, as work is spread by
    written: bytes  # for the shard's input: a `ShardLine` with its line's end


class TaskReader:
    """Reads the lines of one batch, whose caller is good."""

    def __init__(self, endpoint: str, caller: Caller, models: ModelTable, *, max_body_bytes: int, now: int) -> None:
        self._endpoint = endpoint
        self._caller = caller
        self._models = models
        self._max_body_bytes = max_body_bytes
        self._prices = {model.name: model.price_at(now, batch=True) for model in models.models}
        self._custom_ids = CustomIds()

    def read(self, number: int, text: bytes) -> Task:
        """The line of that number. Raises ApiError, whose `param` is that of the line."""
        data = _object(text)
        custom_id = self._custom_id(data)
        intake = self._intake(data)
        body = _body(data)
        self._require_size(text, body)
        try:
            call = intake.take(body)
            if call.stream:
                raise BadRequest("A batch's answers do not stream.", param="stream", code="unsupported_parameter")
            model = model_of(call, self._models)
            intake.require(call, model, self._caller)
        except ApiError as error:
            raise _in_body(error) from None
        demands, price = call.demands(), self._price(model)
        tokens = bound_of(model, price, *demands).tokens
        return Task(
            number=number,
            model=model.name,
            beginning=_beginning(call),
            tokens=tokens,
            expected=_expected(model, price, demands, tokens),
            written=_dumped(ShardLine(line=number, custom_id=custom_id, url=intake.path, body=body)) + b"\n",
        )

    def _custom_id(self, data: Mapping[str, Any]) -> str:
        custom_id = _given(data, "custom_id")
        if not isinstance(custom_id, str):
            raise BadRequest("custom_id: must be a string.", param="custom_id", code="invalid_type")
        encoded = custom_id.encode()
        if not 1 <= len(encoded) <= MAX_CUSTOM_ID:
            raise BadRequest(
                f"custom_id: must have from 1 to {MAX_CUSTOM_ID} bytes, not {len(encoded):,}.",
                param="custom_id",
                code="invalid_value",
            )
        if not self._custom_ids.add(encoded):
            raise BadRequest(
                "The custom_id of this line is that of an earlier line; each line needs one of its own.",
                param="custom_id",
                code="duplicate_custom_id",
            )
        return custom_id

    def _intake(self, data: Mapping[str, Any]) -> Intake:
        if _given(data, "method") != "POST":
            raise BadRequest("method: must be 'POST'.", param="method", code="invalid_value")
        url = _given(data, "url")
        if self._endpoint and url != self._endpoint:
            raise BadRequest(
                f"url: must be the batch's endpoint, {self._endpoint!r}.", param="url", code="url_mismatch"
            )
        intake = INTAKES.get(url) if isinstance(url, str) else None
        if intake is None:
            raise BadRequest(f"url: must be one of {', '.join(INTAKES)}.", param="url", code="invalid_value")
        try:
            require_route(self._caller, intake.group)
        except ApiError as error:
            error.param = "url"
            raise
        return intake

    def _require_size(self, text: bytes, body: Mapping[str, Any]) -> None:
        """Most lines are short of the limit as they are."""
        limit = self._max_body_bytes
        if len(text) > limit and len(_dumped(body)) > limit:
            raise too_large(limit)

    def _price(self, model: ServedModel) -> Price:
        price = self._prices[model.name]
        if price is None:
            raise _in_body(no_price(model))
        return price


def too_large(limit: int) -> ApiError:
    """The refusal of a line whose body is over the limit, in bytes."""
    return BodyTooLarge(f"The body is over the limit of {limit} bytes.", param="body")


def _object(text: bytes) -> dict[str, Any]:
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadRequest(_no_json(text, error), code="invalid_json_line") from None
    if not isinstance(data, dict):
        raise BadRequest("This line must be a JSON object.", code="invalid_json_line")
    for name in data.keys() - set(_FIELDS):
        shown = name[:64]
        raise BadRequest(f"Unknown parameter: {shown!r}.", param=shown, code="unknown_parameter")
    return data


def _no_json(text: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        text.decode()
    except UnicodeDecodeError as wrong:
        return f"This line is not UTF-8: it is not at byte {wrong.start + 1}."
    return f"This line is not valid JSON: {error.msg}, at column {error.colno}."


def _given(data: Mapping[str, Any], name: str) -> Any:
    if name not in data:
        raise BadRequest(f"Missing required parameter: {name!r}.", param=name, code="missing_required_parameter")
    return data[name]


def _body(data: Mapping[str, Any]) -> dict[str, Any]:
    body = _given(data, "body")
    if not isinstance(body, dict):
        raise BadRequest("body: must be an object.", param="body", code="invalid_type")
    return body


def _in_body(error: ApiError) -> ApiError:
    error.param = "body" if error.param is None else f"body.{error.param}"
    return error


def _beginning(call: Call) -> bytes:
    """What the prompt begins with, and all of the rest: of a call whose prompt another's may share."""
    if isinstance(call, ChatRequest):
        return "\n".join([f"{one.role}\n{one.content}" for one in call.messages]).encode()
    if isinstance(call, CompletionRequest):
        first = call.prompts[0]
        return first.encode() if isinstance(first, str) else orjson.dumps(first)
    return b""


def _expected(model: ServedModel, price: Price, demands: tuple[Demand, ...], tokens: int) -> int:
    if all(one.max_tokens is not None for one in demands):
        return tokens
    limited = [replace(one, max_tokens=EXPECTED_TOKENS) if one.max_tokens is None else one for one in demands]
    return bound_of(model, price, *limited).tokens


def _dumped(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # it writes no nesting as deep as it reads
        raise BadRequest("body: is nested too deep.", param="body", code="invalid_value") from None
