"""Files through the handler as Lambda runs it: a form is bytes, which events hold as base64."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from functions.edge.routes.files.content import INLINE
from tests.integration.edge.invocations import SHAPES, Sent
from tests.integration.edge.test_files import BOUNDARY, END, LINES, part
from tests.integration.edge.test_handler import Function, start

__all__ = ["start"]

pytestmark = pytest.mark.anyio


@pytest.fixture
async def function(start: Callable[..., Awaitable[Function]], tmp_path: Path) -> Function:
    """A function with a folder for its files. It has loaded nothing that only files need."""
    function = await start(PENSTOCK_OBJECTS_URL=f"file://{tmp_path / 'objects'}")
    assert function.imported == []
    return function


def upload(function: Function, content: bytes) -> Sent:
    """An upload, as the event of an API which knows that forms are binary."""
    body = part("purpose", b"batch") + part("file", content, "in.jsonl") + END
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", **function.owner.bearer}
    return Sent("POST", "/v1/files", headers, body=body, as_base64=True)


@pytest.mark.parametrize("shape", SHAPES)
async def test_bytes_arrive_and_go_out_as_they_are(function: Function, shape: str) -> None:
    for content in (LINES, bytes(range(256)) * 100, b'{"quotes": "\\""}\r\n' * 1_000):
        made = await function.invoke(shape, upload(function, content))
        assert (made.status, made.json["bytes"]) == (200, len(content)), made.body
        got = await function.invoke(shape, Sent("GET", f"/v1/files/{made.json['id']}/content", function.owner.bearer))
        assert (got.status, got.body) == (200, content)


async def test_the_longest_content_that_is_not_redirected_is_no_answer_too_large(function: Function) -> None:
    """Of the worst text there is: every character of it is longer as JSON."""
    content = b'"\n' * (INLINE // 2)
    made = await function.invoke("rest_api", upload(function, content))
    response = await function.raw(
        "rest_api", Sent("GET", f"/v1/files/{made.json['id']}/content", function.owner.bearer)
    )
    assert (response["statusCode"], response["isBase64Encoded"]) == (200, False)
    assert response["body"].encode() == content


async def test_a_form_of_text_may_come_as_text(function: Function) -> None:
    """From an API that does not know that forms are binary."""
    sent = replace(upload(function, '{"prompt": "Zürich 😀"}\n'.encode()), as_base64=False)
    made = await function.invoke("rest_api", sent)
    assert (made.status, made.json["bytes"]) == (200, 27)
