"""A method's arguments as a call: what is sent, checked as far as Python checks arguments."""

import re
from collections.abc import Mapping
from typing import Any, get_type_hints
from urllib.parse import quote

import orjson
from pydantic import BaseModel

from penstock.client.call import Call
from penstock.client.parameters import (
    CallOptions,
    ChatArguments,
    CompletionArguments,
    EmbeddingArguments,
    UsageParameters,
)

_OPTIONS = frozenset(get_type_hints(CallOptions))
_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")


def chat_call(arguments: ChatArguments, *, stream: bool) -> Call:
    """`POST /v1/chat/completions`. Raises TypeError for arguments that do not fit."""
    return posted("/chat/completions", ChatArguments, arguments, {"stream": stream})


def completion_call(arguments: CompletionArguments, *, stream: bool) -> Call:
    """`POST /v1/completions`. Raises TypeError for arguments that do not fit."""
    return posted("/completions", CompletionArguments, arguments, {"stream": stream})


def embedding_call(arguments: EmbeddingArguments) -> Call:
    """`POST /v1/embeddings`, in base64 where nothing else is said: that is shorter, and exact.

    Raises TypeError for arguments that do not fit.
    """
    return posted("/embeddings", EmbeddingArguments, {"encoding_format": "base64", **arguments}, {})


def usage_call(arguments: UsageParameters) -> Call:
    """`GET /v1/usage`. Raises TypeError for arguments that do not fit."""
    return asked("/usage", UsageParameters, arguments)


def models_call() -> Call:
    """`GET /v1/models`."""
    return Call(method="GET", path="/models")


def model_call(model: str) -> Call:
    """`GET /v1/models/{model}`."""
    return Call(method="GET", path=f"/models/{quote(model, safe='/')}")


def posted(path: str, kind: type, arguments: Mapping[str, Any], fixed: Mapping[str, Any]) -> Call:
    """A call whose body has the arguments, and what is fixed. Raises TypeError for arguments that do not fit."""
    _check(kind, arguments)
    body = {name: value for name, value in arguments.items() if name not in _OPTIONS}
    options: Any = {name: value for name, value in arguments.items() if name in _OPTIONS}
    key = options.get("idempotency_key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise TypeError("idempotency_key must be 1 to 255 visible ASCII characters")
    return Call(method="POST", path=path, body=json_of({**body, **fixed}), **options)


def asked(path: str, kind: type, arguments: Mapping[str, Any]) -> Call:
    """A call with the arguments as its query. Raises TypeError for arguments that do not fit."""
    _check(kind, arguments)
    query = {name: _shown(value) for name, value in arguments.items() if value is not None}
    return Call(method="GET", path=path, query=query)


def _check(kind: Any, arguments: Mapping[str, Any]) -> None:
    """As Python would, if the parameters were written out."""
    for name in arguments:
        if name not in kind.__annotations__:
            raise TypeError(f"got an unexpected keyword argument {name!r}")
    for name in sorted(kind.__required_keys__):
        if name not in arguments:
            raise TypeError(f"missing a required keyword argument: {name!r}")


def json_of(body: Mapping[str, Any]) -> bytes:
    """The body as it is sent. Raises TypeError for what JSON does not have."""
    try:
        return orjson.dumps(body, _plain, orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError as error:
        raise TypeError(f"an argument cannot be sent: {error}") from error


def _plain(value: object) -> Any:
    """What orjson does not know: an answer's message, sent back as history; sequences and mappings of any kind."""
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_unset=True)
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "__iter__"):
        return list(value)
    raise TypeError


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else ",".join(value) if isinstance(value, list | tuple) else str(value)
