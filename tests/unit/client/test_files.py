"""`client.files`: what is sent where, by both clients; what goes to storage knows no key."""

from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from penstock.client import BadRequest, ConnectionFailed, Forbidden, NotFound, UnexpectedAnswer
from penstock.client.file_calls import LARGEST_POSTED
from tests.unit.client.carried import KEY, URL, Carried, Parts, good, refused, script
from tests.unit.client.wire import a_file

SIGNED = "https://bucket.example/files/local/file-1?signature=secret"
LARGE = b"x" * (LARGEST_POSTED + 1)
PROMISE = a_file(
    status="pending",
    upload={"url": SIGNED, "method": "PUT", "headers": {"Content-Type": "text/plain"}, "expires_at": 9},
)
LIMITS = {"anchor": "created_at", "seconds": 3_600}


def redirect(location: str = SIGNED) -> httpx2.Response:
    return httpx2.Response(307, headers={"Location": location})


def test_a_small_file_is_a_form(carried: Carried) -> None:
    made = carried.use(script(good(a_file())), "files.create", file=("in.jsonl", b"line\n"), expires_after=LIMITS)
    assert (made.id, made.status, made.upload) == ("file-1", "processed", None)
    (request,) = carried.requests
    assert (request.method, str(request.url)) == ("POST", f"{URL}/files")
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert request.headers["content-length"] == str(len(request.content))
    assert "transfer-encoding" not in request.headers
    for part in (
        b'name="purpose"\r\n\r\nbatch\r\n',
        b'name="expires_after[seconds]"\r\n\r\n3600\r\n',
        b"\r\n\r\nline\n\r\n",
    ):
        assert part in request.content


def test_a_large_file_goes_past_the_api(carried: Carried) -> None:
    made = carried.use(script(good(PROMISE), httpx2.Response(200), good(a_file())), "files.create", file=LARGE)
    assert made.status == "processed"
    promised, put, looked = carried.requests
    assert orjson.loads(promised.content) == {"purpose": "batch", "filename": "upload.jsonl", "bytes": len(LARGE)}
    assert promised.headers["authorization"] == looked.headers["authorization"] == f"Bearer {KEY}"
    assert (put.method, str(put.url), put.content) == ("PUT", SIGNED, LARGE)
    assert put.headers["content-length"] == str(len(LARGE))
    assert put.headers["content-type"] == "text/plain"
    assert put.headers["host"] == "bucket.example"
    assert "authorization" not in put.headers
    assert (looked.method, str(looked.url)) == ("GET", f"{URL}/files/file-1")


def test_a_large_file_is_a_form_where_storage_takes_none(carried: Carried) -> None:
    carried.use(script(refused(400, "presigned_unsupported"), good(a_file())), "files.create", file=LARGE)
    _, form = carried.requests
    assert LARGE in form.content


def test_another_refusal_stands(carried: Carried) -> None:
    with pytest.raises(BadRequest):
        carried.use(script(refused(400, "other")), "files.create", file=LARGE)


def test_an_upload_to_storage_is_tried_again_from_its_beginning(carried: Carried) -> None:
    broken = httpx2.WriteError("gone")
    answers = script(good(PROMISE), broken, httpx2.Response(503), httpx2.Response(200), good(a_file()))
    carried.use(answers, "files.create", file=LARGE)
    assert [request.content for request in carried.requests[1:4]] == [LARGE] * 3
    assert len(carried.pauses) == 2


def test_a_form_is_tried_again_as_the_same_request(carried: Carried) -> None:
    carried.use(script(httpx2.ReadError("gone"), refused(503), good(a_file())), "files.create", file=b"x")
    assert [b"\r\n\r\nx\r\n" in request.content for request in carried.requests] == [True] * 3
    assert len({request.headers["idempotency-key"] for request in carried.requests}) == 1


def test_what_storage_refuses_is_said_without_the_url(carried: Carried) -> None:
    body = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"
    with pytest.raises(Forbidden) as caught:
        carried.use(script(good(PROMISE), httpx2.Response(403, content=body)), "files.create", file=LARGE)
    assert str(caught.value) == "the storage at https://bucket.example refused with HTTP 403: AccessDenied"


@pytest.mark.parametrize("upload", [None, {"url": "ftp://x/y", "method": "PUT", "headers": {}, "expires_at": 9}])
def test_a_promise_that_is_none_is_said(carried: Carried, upload: Any) -> None:
    with pytest.raises(UnexpectedAnswer):
        carried.use(script(good({**PROMISE, "upload": upload})), "files.create", file=LARGE)


def test_content_comes_from_the_api(carried: Carried) -> None:
    answer = httpx2.Response(200, stream=Parts((b"one\n", b"two\n")))
    assert carried.content(script(answer), "file-1") == b"one\ntwo\n"
    (request,) = carried.requests
    assert (request.method, str(request.url)) == ("GET", f"{URL}/files/file-1/content")


def test_or_from_storage_which_is_shown_no_key(carried: Carried, tmp_path: Path) -> None:
    answer = httpx2.Response(200, stream=Parts((b"one\n",)))
    assert carried.content(script(redirect(), answer), "file-1", tmp_path / "out") == b"one\n"
    asked, followed = carried.requests
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert str(followed.url) == SIGNED
    assert "authorization" not in followed.headers


def test_storage_sends_nobody_further(carried: Carried) -> None:
    with pytest.raises(Exception, match=r"the storage at https://bucket\.example refused with HTTP 307"):
        carried.content(script(redirect(), redirect("https://elsewhere.example/")), "file-1")


@pytest.mark.parametrize("location", ["http://bucket.example/x", "ftp://bucket.example/x"])
def test_nor_is_a_less_private_way_taken(carried: Carried, location: str) -> None:
    with pytest.raises(UnexpectedAnswer):
        carried.content(script(redirect(location)), "file-1")


def test_content_that_breaks_off_leaves_no_file(carried: Carried, tmp_path: Path) -> None:
    answer = httpx2.Response(200, stream=Parts((b"one\n", httpx2.ReadError("gone"))))
    with pytest.raises(ConnectionFailed):
        carried.content(script(answer), "file-1", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_content_that_is_not_there(carried: Carried) -> None:
    with pytest.raises(NotFound):
        carried.content(script(refused(404)), "file-1")


def test_the_others(carried: Carried) -> None:
    page = {"object": "list", "data": [a_file()], "first_id": "file-1", "last_id": "file-1", "has_more": False}
    listed = carried.use(script(good(page)), "files.list", purpose="batch", limit=3, after=None)
    assert [file.filename for file in listed.data] == ["in.jsonl"]
    assert carried.use(script(good(a_file())), "files.retrieve", "file/1").bytes == 5
    gone = {"id": "file-1", "object": "file", "deleted": True}
    assert carried.use(script(refused(503), good(gone)), "files.delete", "file-1").deleted
    assert [(request.method, str(request.url)) for request in carried.requests] == [
        ("GET", f"{URL}/files?purpose=batch&limit=3"),
        ("GET", f"{URL}/files/file%2F1"),
        ("DELETE", f"{URL}/files/file-1"),
        ("DELETE", f"{URL}/files/file-1"),
    ]
    with pytest.raises(TypeError, match="unexpected keyword argument 'x'"):
        carried.use(script(), "files.list", x=1)
