"""The form of webhooks: what OpenAI's client takes for ours and what it does not, and which settings can be none."""

import base64
import time

import pytest
from openai import InvalidWebhookSignatureError, OpenAI

from penstock import webhook

KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
BODY = b'{"id": "evt_1", "object": "event", "created_at": 1, "type": "batch.completed", "data": {"id": "batch_1"}}'


def client() -> OpenAI:
    return OpenAI(api_key="none", base_url="http://127.0.0.1:9")


def test_openai_s_client_takes_what_is_signed() -> None:
    with client() as openai:
        event = openai.webhooks.unwrap(BODY, webhook.signed(SECRET, "evt_1", int(time.time()), BODY), secret=SECRET)
    assert (event.type, event.data.id) == ("batch.completed", "batch_1")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("body", "secret", "late"),
    [(BODY + b" ", SECRET, 0), (BODY, f"whsec_{base64.b64encode(KEY[1:]).decode()}", 0), (BODY, SECRET, 3_600)],
    ids=["another body", "another secret", "an old one"],
)
def test_it_takes_nothing_else(body: bytes, secret: str, late: int) -> None:
    headers = webhook.signed(SECRET, "evt_1", int(time.time()) - late, BODY)
    with client() as openai, pytest.raises(InvalidWebhookSignatureError):
        openai.webhooks.unwrap(body, headers, secret=secret)


def test_the_headers_are_those_of_standard_webhooks() -> None:
    # The example of the specification's reference implementation.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = webhook.signed(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", SECRET[6:], SECRET[:-2] + "%%", f"whsec_{'A' * 28}", f"whsec_{'A' * 96}", "whsec_no base64"],
)
def test_a_malformed_secret_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(ValueError, match=r"^must be whsec_ and 24 to 64 bytes in base64$"):
        webhook.check_secret(secret)


@pytest.mark.parametrize(
    "url", ["https://example.com/hook?a=b", "http://127.0.0.1:8080/", "http://localhost/x", "http://[::1]:80/"]
)
def test_messages_may_be_sent_there(url: str) -> None:
    assert webhook.check_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "http://10.0.0.1/",
        "https://",
        "https://user:hush@example.com/",
        "https://example.com:0/",
        "https://example.com:port/",
        "ftp://example.com/",
        "http://[::1/",
        "example.com",
    ],
)
def test_messages_may_not_be_sent_there(url: str) -> None:
    with pytest.raises(
        ValueError, match=r"^must be an https URL without a password; http only to this machine itself$"
    ):
        webhook.check_url(url)
