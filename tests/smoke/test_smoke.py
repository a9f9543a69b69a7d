"""The smoke test: every model of a real deployment is asked for a few tokens, over HTTPS and directly.

It costs a cold start and some tokens, so it runs where it is told what to ask, and nowhere else:

    MODAL_TOKEN_ID, MODAL_TOKEN_SECRET, MODAL_ENVIRONMENT    Modal's own, of the workspace that the app is in
    PENSTOCK_CONFIG        the table that is deployed; unset, penstock.toml
    PENSTOCK_SMOKE_KEY     an API key that nobody else uses meanwhile: what it is billed is compared
    PENSTOCK_SMOKE_URL     the edge, without /v1; unset, models are asked directly alone, and no bill is read

It does not show how many a deployment answers at once, or what becomes of answers whose container dies.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from penstock.client import Penstock
from penstock.deployment import read_deployment
from penstock.models import ServedModel, read_models

TABLE = Path(__file__).parents[2] / os.environ.get("PENSTOCK_CONFIG", "penstock.toml")
KEY = os.environ.get("PENSTOCK_SMOKE_KEY")
URL = os.environ.get("PENSTOCK_SMOKE_URL")

START_WITHIN_S = 900.0  # a cold start, with its image
SETTLED_WITHIN_S = 120.0
RETRIES = 4  # of what is refused meanwhile with 429 or 503
FEW = 16  # tokens
QUESTION = "What is Penstock?"
YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)

pytestmark = pytest.mark.skipif(not (os.environ.get("MODAL_TOKEN_ID") and KEY), reason="no deployment to ask")
MODELS = read_models(TABLE).models

Tell = Callable[[str], None]
Tokens = tuple[int, int]  # of prompts, and of completions


@dataclass(frozen=True)
class Way:
    """A way to the models: OpenAI's client or ours, and how that is told to write on."""

    name: str
    client: Any
    endless: Mapping[str, Any]


@pytest.fixture
def tell(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Tell:
    """Writes a line to pytest's own output, of a test that passes too."""
    reporter: Any = request.config.pluginmanager.getplugin("terminalreporter")

    def line(text: str) -> None:
        with capsys.disabled():
            reporter.ensure_newline()
            reporter.write_line(text)

    return line


@contextmanager
def edge() -> Iterator[OpenAI]:
    """OpenAI's client of the edge."""
    if not URL:
        pytest.skip("no edge to ask")
    with OpenAI(base_url=f"{URL}/v1", api_key=KEY, timeout=START_WITHIN_S, max_retries=RETRIES) as client:
        yield client


@pytest.fixture(params=["https", "direct"])
def way(request: pytest.FixtureRequest, model: ServedModel) -> Iterator[Way]:
    """Each of the ways to a model."""
    if request.param == "https":
        with edge() as client:
            yield Way("https", client, {"extra_body": {"ignore_eos": True}})
    else:
        app = read_deployment(TABLE).app
        with Penstock.direct(app, model.name, api_key=KEY, timeout=START_WITHIN_S, max_retries=RETRIES) as penstock:
            yield Way("direct", penstock, {"ignore_eos": True})


class Bill:
    """What the key was billed for a model since this was made, read from `/v1/usage`."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._before = self._spent()

    def grown(self, requests: int) -> Tokens:
        """The tokens of so many requests, once they are settled."""
        end = time.monotonic() + SETTLED_WITHIN_S
        while (grown := self._grown())[0] < requests:
            assert time.monotonic() < end, f"{grown[0]} of {requests} requests to {self._model} were settled"
            time.sleep(1)
        assert grown[0] == requests
        return grown[1:]

    def _grown(self) -> tuple[int, int, int]:
        now = self._spent()
        return now[0] - self._before[0], now[1] - self._before[1], now[2] - self._before[2]

    def _spent(self) -> tuple[int, int, int]:
        with Penstock(f"{URL}/v1", KEY) as client:
            rows = client.usage.list(model=self._model, since=YESTERDAY).data
        return (
            sum(row.requests for row in rows),
            sum(row.prompt_tokens for row in rows),
            sum(row.completion_tokens for row in rows),
        )


def test_the_edge_lists_every_model() -> None:
    with edge() as client:
        listed = {each.id for each in client.models.list()}
    assert {model.name for model in MODELS} <= listed


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_model_answers_and_is_billed_as_it_counted(model: ServedModel, way: Way, tell: Tell) -> None:
    bill = Bill(model.name) if URL else None
    counted = list(answered(model, way, tell))
    if bill is not None:
        assert bill.grown(len(counted)) == (sum(read for read, _ in counted), sum(told for _, told in counted))
    if generates(model):
        leave(model, way)


def answered(model: ServedModel, way: Way, tell: Tell) -> Iterator[Tokens]:
    """What each answer of the model counted, of every kind that it has."""
    if generates(model):
        yield streamed(model, way, tell)
    if model.embeddings is not None:
        answer = way.client.embeddings.create(model=model.name, input=["one", "two"])
        assert len(answer.data) == 2
        assert all(any(each.embedding) for each in answer.data)
        yield answer.usage.prompt_tokens, 0


def streamed(model: ServedModel, way: Way, tell: Tell) -> Tokens:
    """A few tokens, and how long the first took."""
    began, first = time.monotonic(), None
    chunks = []
    for chunk in ask(model, way, FEW):
        if first is None and any(text_of(choice) for choice in chunk.choices):
            first = time.monotonic() - began
        chunks.append(chunk)
    assert first is not None, f"{model.name} said nothing"
    tell(f"{model.name}, {way.name}: the first token after {first:.2f} s")
    usage = chunks[-1].usage
    assert 0 < usage.completion_tokens <= FEW
    return usage.prompt_tokens, usage.completion_tokens


def leave(model: ServedModel, way: Way) -> None:
    """A stream that is left ends: hardly any of what it might have written is billed; through Lambda, all of it is."""
    long = min(2_000, model.context_length * 3 // 4)
    bill = Bill(model.name) if URL else None
    stream = ask(model, way, long, **way.endless)
    next(iter(stream))
    most = long if through_lambda(stream) else long - 1
    stream.close()
    if bill is not None:
        assert 0 < bill.grown(1)[1] <= most


def through_lambda(stream: Any) -> bool:
    """Whether API Gateway passes the stream on: the function behind it is never told that a client has left."""
    response = getattr(stream, "response", None)
    return response is not None and "x-amz-apigw-id" in response.headers


def ask(model: ServedModel, way: Way, tokens: int, **more: Any) -> Any:
    """A stream of at most so many tokens, and its usage."""
    asked = {
        "model": model.name,
        "max_tokens": tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
        **more,
    }
    if model.chat:
        return way.client.chat.completions.create(messages=[{"role": "user", "content": QUESTION}], **asked)
    return way.client.completions.create(prompt=QUESTION, **asked)


def generates(model: ServedModel) -> bool:
    """Whether the model writes, and does not only embed."""
    return model.chat or model.completions


def text_of(choice: Any) -> str:
    """What a chunk's choice says."""
    return (choice.delta.content if hasattr(choice, "delta") else choice.text) or ""
