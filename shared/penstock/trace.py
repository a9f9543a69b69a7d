"""Trace context: which trace a request belongs to, read from its headers, to be logged and passed on; and what its
caller calls it.

`traceparent` and `tracestate` are W3C's (Trace Context, Level 1), `X-Amzn-Trace-Id` is X-Ray's. Whoever serves a
request passes them on as they came: no span is opened here, so the next one's parent is the caller's. What is
malformed is dropped and no error, as W3C asks; a `tracestate` goes with its `traceparent`, or not at all.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

MAX_STATE = 512  # characters; what W3C asks to be passed on at least
MAX_MEMBERS = 32  # of a tracestate

# Versions after 00 may add to the end of it; ff is none.
_PARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{0,128})?")
_MEMBER = re.compile(r"[ \t]*([a-z0-9][a-z0-9_*/@-]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~])?[ \t]*")
_AMAZON = re.compile(r"[A-Za-z]{1,32}=[!-:<-~]{1,128}(; ?[A-Za-z]{1,32}=[!-:<-~]{1,128}){0,7};?")
_CALLERS_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_ROOT = re.compile(r"(?:^|[; ])Root=1-([0-9a-f]{8})-([0-9a-f]{24})(?:;|$)")


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace's id, 32 hex digits, where there is one; and the headers that tell the next of it."""

    id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def read_trace(sent: Callable[[str], Sequence[str]]) -> Trace:
    """The trace of a request; `sent` gives the values of a header. W3C's id counts before Amazon's."""
    headers = {}
    amazon_id, w3c_id = None, None
    parent = _only(sent("traceparent"))
    if (found := _PARENT.fullmatch(parent)) and not (found[1] == "00" and found[3]):
        w3c_id, headers["traceparent"] = found[2], parent
        if state := _state(",".join(sent("tracestate"))):
            headers["tracestate"] = state
    amazon = _only(sent("x-amzn-trace-id"))
    if _AMAZON.fullmatch(amazon) and (root := _ROOT.search(amazon)):
        amazon_id, headers["X-Amzn-Trace-Id"] = root[1] + root[2], amazon
    return Trace(w3c_id or amazon_id, headers)


def read_callers_id(sent: Callable[[str], Sequence[str]]) -> str | None:
    """The caller's own id of its request, as `X-Request-Id` or OpenAI's `X-Client-Request-Id`; None if malformed."""
    value = next(filter(None, [*sent("x-request-id"), *sent("x-client-request-id")]), "")
    return value if _CALLERS_ID.fullmatch(value) else None


def _only(values: Sequence[str]) -> str:
    return values[0].strip() if len(values) == 1 else ""


def _state(text: str) -> str:
    """The list, where it is one; else nothing."""
    if len(text) > MAX_STATE:
        return ""
    members = text.split(",")
    return text if len(members) <= MAX_MEMBERS and all(map(_MEMBER.fullmatch, members)) else ""
