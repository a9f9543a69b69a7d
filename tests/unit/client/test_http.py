"""What is sent over HTTP, and what is made of answers that are not as they should be."""

from dataclasses import replace

import httpx2
import pytest

from penstock.client import http
from penstock.client.call import Call
from penstock.client.errors import (
    BadRequest,
    ConnectionFailed,
    Misconfigured,
    PenstockError,
    ServerError,
    StatusError,
    TimedOut,
    UnexpectedAnswer,
)
from penstock.client.http import Endpoint
from penstock.schemas.completion import DONE, comment, event
from tests.unit.client.carried import CHAT, KEY, MODELS, URL, Carried, Parts, good, refused, script, streamed

DIRECT = replace(CHAT, delivery="direct")
GPU = "https://gpu.example/v1/chat/completions?ticket=k1.secret"


def redirect(location: str, **headers: str) -> httpx2.Response:
    return httpx2.Response(307, headers={"Location": location, **headers})


def test_a_request(carried: Carried) -> None:
    carried.whole(script(good()), Call(method="GET", path="/usage", query={"since": "2026-01-01"}))
    carried.stream(script(streamed(DONE)))
    read, streaming = carried.requests
    assert (read.method, str(read.url), read.content) == ("GET", f"{URL}/usage?since=2026-01-01", b"")
    assert read.headers["authorization"] == f"Bearer {KEY}"
    assert "content-type" not in read.headers
    assert (streaming.method, str(streaming.url), streaming.content) == ("POST", f"{URL}{CHAT.path}", CHAT.body)
    assert streaming.headers["content-type"] == "application/json"
    assert streaming.headers["accept"] == "text/event-stream"
    assert "idempotency-key" not in streaming.headers


def test_the_times_are_the_calls_own_the_clients_or_ten_seconds_and_ten_minutes(carried: Carried) -> None:
    carried.whole(script(good()))
    carried.whole(script(good()), timeout=30)
    carried.whole(script(good()), replace(CHAT, timeout=httpx2.Timeout(5, read=7)), timeout=30)
    times = [request.extensions["timeout"] for request in carried.requests]
    assert [(one["connect"], one["read"]) for one in times] == [(10, 600), (30, 30), (5, 7)]


@pytest.mark.parametrize(
    "url", ["", "nonsense", "ftp://a/v1", "http://", "https://u:p@a/v1", "https://a/v1?x=1", "x" * 9]
)
def test_what_is_no_url_is_said(url: str) -> None:
    with pytest.raises(Misconfigured, match="is not a URL"):
        Endpoint(url, KEY)


@pytest.mark.parametrize("key", ["ps_\n", " ps", "clé", "a\tb"])
def test_what_is_no_key_is_said_without_showing_it(key: str) -> None:
    with pytest.raises(Misconfigured) as error:
        Endpoint(URL, key)
    assert key.strip() not in str(error.value)
    assert KEY not in repr(Endpoint(URL, KEY))


@pytest.mark.parametrize("options", [{"max_retries": -1}, {"max_retries": 11}, {"delivery": "pigeon"}])
def test_what_cannot_be_meant_is_said(options: dict[str, object]) -> None:
    with pytest.raises(Misconfigured, match=f"{next(iter(options))} must be"):
        Endpoint(URL, KEY, **options)  # type: ignore[arg-type]


def test_a_proxy_of_the_environment_is_for_other_machines() -> None:
    assert Endpoint(URL, KEY).proxied
    for host in ("127.0.0.1:8000", "localhost", "[::1]:80"):
        assert not Endpoint(f"http://{host}/v1", KEY).proxied


def test_an_answer_has_what_came_beside_it(carried: Carried) -> None:
    reply = carried.whole(script(good(None, **{"X-Request-Id": "req_7", "x-ratelimit-remaining-tokens": "9"}))).reply
    assert (reply.request_id, reply.headers["x-ratelimit-remaining-tokens"], reply.retries) == ("req_7", "9", 0)


@pytest.mark.parametrize("stream", [False, True])
def test_direct_delivery_shows_the_gpu_the_ticket_and_nothing_else(carried: Carried, stream: bool) -> None:
    first = redirect(GPU, **{"x-request-id": "req_7", "x-ratelimit-limit-requests": "5"})
    if stream:
        reply = carried.stream(script(first, streamed(event(b"{}") + DONE)), DIRECT)[1]
    else:
        reply = carried.whole(script(first, good()), DIRECT).reply
    edge, gpu = carried.requests
    assert edge.headers["penstock-delivery"] == "direct"
    assert "idempotency-key" not in edge.headers
    assert (gpu.method, str(gpu.url), gpu.content) == ("POST", GPU, CHAT.body)
    assert gpu.headers["content-type"] == "application/json"
    assert not any(KEY in value for value in gpu.headers.values())
    assert {"authorization", "penstock-delivery"}.isdisjoint(gpu.headers)
    assert (reply.request_id, reply.headers["x-ratelimit-limit-requests"]) == ("req_7", "5")


def test_a_client_may_ask_for_direct_delivery_of_all(carried: Carried) -> None:
    carried.whole(script(redirect(GPU), good()), delivery="direct")
    carried.whole(script(good()), replace(CHAT, delivery="relay"), delivery="direct")
    assert [str(request.url) for request in carried.requests] == [f"{URL}{CHAT.path}", GPU, f"{URL}{CHAT.path}"]
    assert "penstock-delivery" not in carried.requests[2].headers
    carried.whole(script(good()), MODELS, delivery="direct")
    assert "penstock-delivery" not in carried.requests[3].headers


@pytest.mark.parametrize("stream", [False, True])
def test_the_gpus_errors_are_as_typed_as_the_apis(carried: Carried, stream: bool) -> None:
    with pytest.raises(BadRequest, match=r"No\."):
        (carried.stream if stream else carried.whole)(script(redirect(GPU), refused(400)), DIRECT)


def test_nobody_is_sent_further_than_to_the_gpu(carried: Carried) -> None:
    with pytest.raises(StatusError, match="HTTP 307"):
        carried.whole(script(redirect(GPU), redirect(f"{URL}/elsewhere")), DIRECT)
    assert len(carried.requests) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_that_nobody_asked_for_is_not_followed(carried: Carried, status: int) -> None:
    with pytest.raises(StatusError):
        carried.whole(script(httpx2.Response(status, headers={"Location": GPU})))
    assert len(carried.requests) == 1


@pytest.mark.parametrize("location", ["http://gpu.example/v1", "ftp://gpu.example/", "https://[::"])
def test_a_way_that_is_none_or_less_private_is_not_taken(carried: Carried, location: str) -> None:
    with pytest.raises(UnexpectedAnswer):
        carried.whole(script(redirect(location)), DIRECT)
    assert len(carried.requests) == 1


def test_a_failure_on_the_way_to_the_gpu_does_not_tell_the_ticket(carried: Carried) -> None:
    with pytest.raises(ConnectionFailed, match=r"cannot reach https://gpu\.example") as error:
        carried.whole(script(redirect(GPU), httpx2.ConnectError("refused")), DIRECT, max_retries=0)
    assert "secret" not in str(error.value)


def test_a_gpu_that_was_not_reached_is_asked_for_anew_with_a_new_ticket(carried: Carried) -> None:
    answers = script(redirect(GPU), httpx2.ConnectError("refused"), redirect(f"{GPU}2"), good())
    assert carried.whole(answers, DIRECT).reply.retries == 1
    assert str(carried.requests[3].url) == f"{GPU}2"


@pytest.mark.parametrize(
    ("failure", "kind", "sent"),
    [
        (httpx2.ConnectError("refused"), ConnectionFailed, False),
        (httpx2.ConnectTimeout(""), TimedOut, False),
        (httpx2.PoolTimeout(""), TimedOut, False),
        (httpx2.ReadTimeout(""), TimedOut, True),
        (httpx2.WriteTimeout(""), TimedOut, True),
        (httpx2.ReadError(""), ConnectionFailed, True),
        (httpx2.RemoteProtocolError("odd"), ConnectionFailed, True),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_connection_that_fails(
    carried: Carried, failure: Exception, kind: type[PenstockError], sent: bool, stream: bool
) -> None:
    with pytest.raises(ConnectionFailed) as error:
        (carried.stream if stream else carried.whole)(script(failure), max_retries=0)
    assert (type(error.value), error.value.sent) == (kind, sent)


def test_a_stream_is_tried_again_only_until_it_has_begun(carried: Carried) -> None:
    assert carried.stream(script(httpx2.ConnectError("refused"), refused(503), streamed(DONE)))[1].retries == 2
    with pytest.raises(ConnectionFailed):
        carried.stream(script(httpx2.ReadError("broke")))
    with pytest.raises(ServerError):
        carried.stream(script(refused(500)))
    with pytest.raises(ConnectionFailed, match="broke off"):
        carried.stream(script(streamed(event(b"{}"))))
    assert len(carried.requests) == 6


def test_a_stream_under_the_callers_key_is_tried_again_like_any_answer(carried: Carried) -> None:
    call = replace(CHAT, idempotency_key="mine")
    assert carried.stream(script(httpx2.ReadError("broke"), refused(500), streamed(DONE)), call)[1].retries == 2


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_chunks_however_they_are_cut(carried: Carried, size: int) -> None:
    whole = comment("waiting") + event(b'{"n":1}') + comment("waiting") + event(b'{"n":2}') + DONE
    parts = [whole[start : start + size] for start in range(0, len(whole), size)]
    assert carried.stream(script(streamed(*parts)))[0] == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("end", [b"", b"data: {", b'data: {"n":2}\n', b"data: [DONE]\n", comment("waiting")])
def test_a_stream_without_its_end_broke_off(carried: Carried, end: bytes) -> None:
    with pytest.raises(ConnectionFailed, match="broke off"):
        carried.stream(script(streamed(event(b'{"n":1}'), end)))


def test_what_comes_after_the_end_is_not_read(carried: Carried) -> None:
    body = Parts((event(b"{}"), DONE, event(b'{"error":{}}'), AssertionError("read on")))
    response = httpx2.Response(200, stream=body, headers={"content-type": "text/event-stream"})
    assert carried.stream(script(response))[0] == [{}]
    assert body.closed


def test_a_connection_that_breaks_after_the_end_is_no_failure(carried: Carried) -> None:
    body = Parts((event(b"{}") + DONE, httpx2.ReadError("broke")))
    response = httpx2.Response(200, stream=body, headers={"content-type": "text/event-stream"})
    assert carried.stream(script(response))[0] == [{}]


def test_an_error_event_is_the_typed_error(carried: Carried) -> None:
    error = b'{"error":{"message":"Too long.","type":"invalid_request_error","param":"messages","code":"c"}}'
    with pytest.raises(BadRequest) as refusal:
        carried.stream(script(streamed(comment("waiting"), event(error))))
    assert (refusal.value.status, refusal.value.param, refusal.value.code) == (None, "messages", "c")


@pytest.mark.parametrize("data", [b"nonsense", b"[]", b"3", b"\xff", b"data " + b"x" * (1 << 20)])
def test_an_event_that_is_none_is_said(carried: Carried, data: bytes) -> None:
    with pytest.raises(UnexpectedAnswer):
        carried.stream(script(streamed(event(data), DONE)))


def test_what_is_no_stream_is_said(carried: Carried) -> None:
    with pytest.raises(UnexpectedAnswer, match="not a stream"):
        carried.stream(script(good()))


def test_what_is_no_json_is_said(carried: Carried) -> None:
    with pytest.raises(UnexpectedAnswer, match="not JSON"):
        carried.whole(script(httpx2.Response(200, text="<html>")))


def test_an_answer_is_not_read_without_end(carried: Carried, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LONGEST_ANSWER", 100)
    for status in (200, 400):
        body = Parts((b"x" * 60, b"x" * 60, AssertionError("read on")))
        with pytest.raises(UnexpectedAnswer, match="more than 100 bytes"):
            carried.whole(script(httpx2.Response(status, stream=body)))
        assert body.closed


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"error":"x"}', b'{"detail":"x"}', b'{"error":{"message":3}}']
)
def test_a_refusal_without_an_envelope_is_said_by_its_status(carried: Carried, body: bytes) -> None:
    with pytest.raises(ServerError, match="HTTP 502 without OpenAI's error envelope") as refusal:
        carried.whole(script(httpx2.Response(502, content=body)), max_retries=0)
    assert refusal.value.code is None
