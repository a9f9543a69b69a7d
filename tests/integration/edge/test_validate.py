"""What the edge refuses before it admits, over real connections; tests/unit/schemas has the parameters."""

from typing import Any

import openai
import orjson
import pytest

from tests.integration.edge.deployment import CHAT, Deployment

pytestmark = pytest.mark.anyio


async def post(deployment: Deployment, body: bytes, content_type: str | None = "application/json") -> Any:
    """The response to a body as it is."""
    headers = {**deployment.owner.bearer, **({"Content-Type": content_type} if content_type else {})}
    return await deployment.client.post("/v1/chat/completions", content=body, headers=headers)


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON ; charset=utf-8", None])
async def test_json_by_any_spelling(deployment: Deployment, content_type: str | None) -> None:
    assert (await post(deployment, orjson.dumps(CHAT), content_type)).status_code == 200


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", "application/jsonp", ""])
async def test_another_content_type_is_refused(deployment: Deployment, content_type: str) -> None:
    response = await post(deployment, orjson.dumps(CHAT), content_type or ";")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_content_type")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"model": NaN}', b"[" * 100_000])
async def test_what_is_not_json_is_refused(deployment: Deployment, body: bytes) -> None:
    response = await post(deployment, body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_json")


@pytest.mark.parametrize("size", [(4 << 20) + 1, 24 << 20])
async def test_a_body_over_the_limit_is_a_413_that_arrives(deployment: Deployment, size: int) -> None:
    for _ in range(5):
        response = await post(deployment, b" " * size)
        assert (response.status_code, response.json()["error"]["code"]) == (413, "request_too_large")
    assert deployment.gpu.requests == 0


async def test_a_body_of_unknown_length_over_the_limit_is_a_413(deployment: Deployment) -> None:
    async def endless() -> Any:
        for _ in range(100):
            yield b" " * (1 << 17)

    response = await deployment.client.post(
        "/v1/chat/completions", content=endless(), headers={**deployment.owner.bearer}
    )
    assert response.status_code == 413


async def test_a_length_of_thousands_of_digits_is_no_crash(deployment: Deployment) -> None:
    """Only an adapter passes such a header on; uvicorn refuses it by itself."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError

    headers = [(b"content-length", b"9" * 5_000), (b"authorization", deployment.owner.bearer["Authorization"].encode())]
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers, "query_string": b""}
    await deployment.app(scope, receive, send)
    assert sent[0]["status"] == 413


async def test_an_unknown_model_is_a_404_that_names_it(deployment: Deployment) -> None:
    response = await deployment.chat(model="gpt-\u00e9")
    assert response.status_code == 404
    assert response.json()["error"] == {
        "message": "The model 'gpt-\u00e9' does not exist.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_an_answer_as_long_as_the_context_leaves_no_room(deployment: Deployment, name: str) -> None:
    body = {**{key: value for key, value in CHAT.items() if key != "max_tokens"}, name: 1024}
    response = await post(deployment, orjson.dumps(body))
    error = response.json()["error"]
    assert (response.status_code, error["param"], error["code"]) == (400, name, "context_length_exceeded")
    assert "1024" in error["message"]


async def test_the_official_clients_typed_errors(deployment: Deployment) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{deployment.url}/v1", api_key=deployment.owner.key.reveal(), max_retries=0
    ) as client:
        with pytest.raises(openai.NotFoundError, match="does not exist"):
            await client.chat.completions.create(model="nope", messages=[{"role": "user", "content": "x"}])
        with pytest.raises(openai.BadRequestError, match="messages") as refused:
            await client.chat.completions.create(model="demo", messages=[])
        assert refused.value.param == "messages"
        with pytest.raises(openai.BadRequestError) as unsupported:
            await client.chat.completions.create(model="demo", messages=[{"role": "user", "content": "x"}], store=True)
        assert (unsupported.value.param, unsupported.value.code) == ("store", "unsupported_parameter")
        with pytest.raises(openai.APIStatusError) as too_large:
            await client.chat.completions.create(
                model="demo", messages=[{"role": "user", "content": "x" * (5 << 20)}], stream=True
            )
        assert too_large.value.status_code == 413
    async with openai.AsyncOpenAI(base_url=f"{deployment.url}/v1", api_key="sk-none", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.models.list()
