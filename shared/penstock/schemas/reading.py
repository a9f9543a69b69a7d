"""How what a caller sent is read into a model of the wire format, and how it is refused: by its name there."""

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from penstock.errors import BadRequest, UnsupportedParameter

M = TypeVar("M", bound=BaseModel)

# Where pydantic speaks of Python's types.
_IN_JSONS_WORDS = {
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "model_type": "must be an object",
}


class Strict(BaseModel):
    """A part of a body: JSON types are not converted, and unknown names are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


def wrong_at(place: str, message: str, kind: str = "invalid_value") -> PydanticCustomError:
    """An error at `place` below the field that is being validated."""
    return PydanticCustomError(kind, "{message}", {"message": message, "place": place})


def whole(number: object) -> object:
    """JSON knows one kind of number: 16.0 is 16."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. Raises BadRequest.

    orjson refuses nesting deeper than 1,024, so that a hostile body cannot exhaust the stack.
    """
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The body is not valid JSON: {error}.", code="invalid_json") from None
    if not isinstance(data, dict):
        raise BadRequest("The body must be a JSON object.", code="invalid_type")
    return data


def read(kind: type[M], data: Mapping[str, Any]) -> M:
    """The data as the model. Raises BadRequest (or UnsupportedParameter) that names the first thing wrong."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise _bad_request(error.errors(include_url=False, include_input=False)[0]) from None


def _bad_request(error: ErrorDetails) -> BadRequest:
    context: dict[str, Any] = error.get("ctx", {})
    param = _param(error["loc"], context.get("place", ""))
    code = {
        "missing": "missing_required_parameter",
        "extra_forbidden": "unknown_parameter",
        "unsupported_parameter": "unsupported_parameter",
    }.get(error["type"], "invalid_type" if error["type"].endswith("_type") else "invalid_value")
    text = _IN_JSONS_WORDS.get(error["type"], error["msg"])
    message = f"{param}: {text[:1].lower()}{text[1:]}."
    kind = UnsupportedParameter if code == "unsupported_parameter" else BadRequest
    return kind(message, param=param, code=code)


def _param(loc: tuple[int | str, ...], place: str) -> str:
    """A pydantic location in OpenAI's way: `messages[0].content`."""
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{str(part)[:64]}" if path else str(part)[:64]
    return f"{path}{place}"
