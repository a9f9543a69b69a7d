"""What a million requests cost at AWS, line by line: relayed, and delivered directly.

Relayed, a request holds a function of its own from its first byte to the last of its answer: Lambda gives an
environment one request at a time. Delivered directly, it holds one until the redirect, and the stream comes from Modal.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.cost import prices
from benchmarks.ledger.cost import PRICES as DYNAMODB

MILLION = 1_000_000
MEMORY_MB = 1_024  # of both functions, as serverless.yml has it
ARCHITECTURE = "arm64"

# What is assumed of a request. The chunk is what the schema writes for a token of four letters.
TOKENS_PER_S = 30
CHUNK_BYTES = 210
ADMITTED_S = 0.05  # of the function, until the GPU is asked or the redirect is answered
REDIRECT_BYTES = 2_000
LOG_BYTES = {"the edge": 600, "Lambda": 500}
COLD = 0.01  # of requests that find no environment
INIT_S = 1.0  # of one that starts without a snapshot
SECRETS = 3
SECRETS_CACHE_S = 300  # PENSTOCK_SECRETS_CACHE_S

# Of the ledger, from docs/scale.md: an account with one key and few live leases, and a look-up of its caller.
WRITE_UNITS = 7
READ_UNITS = 3
CHECKPOINT_S = 20
CHECKPOINT_TOKENS = 1_000

Lines = Mapping[str, float]
"""Dollars a million requests, by what they are for."""


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that is written for so many seconds."""

    seconds: float

    @property
    def tokens(self) -> int:
        """Tokens of the answer."""
        return round(self.seconds * TOKENS_PER_S)

    @property
    def size(self) -> int:
        """Bytes of the answer, as server-sent events."""
        return self.tokens * CHUNK_BYTES

    @property
    def checkpoints(self) -> int:
        """How often it is written down before its end: every so many seconds or tokens, whichever comes first."""
        every = min(CHECKPOINT_S, CHECKPOINT_TOKENS / TOKENS_PER_S)
        return max(0, math.ceil(self.seconds / every) - 1)


def relayed(stream: Stream) -> Lines:
    """Through `edge-stream`, which has no snapshot."""
    held = ADMITTED_S + stream.seconds
    beyond = max(0, stream.size - prices.STREAMED_FREE_BYTES)
    return _lines(
        stream,
        api=math.ceil(stream.size / prices.API_REQUEST_BYTES),
        held=held,
        start=INIT_S * prices.LAMBDA_GB_S[ARCHITECTURE],
        out=stream.size,
    ) | {"Lambda: bytes of streams beyond 6 MB": _million(beyond / prices.GB * prices.STREAMED_GB)}


def direct(stream: Stream) -> Lines:
    """Through `edge`, which starts from a snapshot and answers with a redirect."""
    return _lines(stream, api=1, held=ADMITTED_S, start=prices.RESTORED_GB, out=REDIRECT_BYTES)


def _lines(stream: Stream, *, api: int, held: float, start: float, out: int) -> dict[str, float]:
    memory = MEMORY_MB / 1_024
    return {
        "API Gateway: requests": _million(api * prices.API_REQUEST),
        "Lambda: requests": _million(prices.LAMBDA_REQUEST),
        "Lambda: time": _million(held * memory * prices.LAMBDA_GB_S[ARCHITECTURE]),
        "Lambda: cold starts": _million(COLD * memory * start),
        "bytes to clients": _million(out / prices.GB * prices.OUT_GB),
        "DynamoDB": (WRITE_UNITS + stream.checkpoints) * DYNAMODB.write + READ_UNITS * DYNAMODB.read,
        "CloudWatch: logs": _million(sum(LOG_BYTES.values()) / prices.GB * prices.LOG_GB),
        "KMS: secrets": _million(SECRETS * min(1, held / SECRETS_CACHE_S + COLD) * prices.KMS_REQUEST),
    }


def open_stream_month() -> float:
    """Dollars a month for one stream that is relayed all the time: the function's time alone."""
    return prices.MONTH_S * MEMORY_MB / 1_024 * prices.LAMBDA_GB_S[ARCHITECTURE]


def snapshot_month() -> float:
    """Dollars a month for keeping the snapshot of one published version, whether it is used or not."""
    return prices.MONTH_S * MEMORY_MB / 1_024 * prices.SNAPSHOT_GB_S


def streams_for_a_machine() -> float:
    """How many streams, open all the time, cost as much to relay as a small machine that does nothing else."""
    return prices.MACHINE_MONTH / open_stream_month()


def _million(dollars: float) -> float:
    return dollars * MILLION
