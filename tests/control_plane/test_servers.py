"""Servers: what is answered before, while and after containers run."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.control_plane.conftest import SAMPLE
from tests.control_plane.running import ControlPlane


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    """A client that takes no proxy."""
    with httpx2.Client(trust_env=False, timeout=60) as client:
        yield client


def warm(plane: ControlPlane, url: str, headers: dict[str, str] | None = None) -> httpx2.Response:
    """What the server answers as soon as it answers."""

    def answer(_: ControlPlane) -> httpx2.Response | None:
        got = httpx2.get(f"{url}/echo?warm", headers=headers, trust_env=False, timeout=60)
        return got if got.status_code != 503 else None

    got: httpx2.Response = plane.wait(answer, f"{url} is warm")
    return got


def test_a_cold_server_answers_503_at_once_and_starts(sample: ControlPlane, http: httpx2.Client) -> None:
    url = sample.server_url("sample", "Open")
    assert sample.containers("Open") == []
    assert http.get(f"{url}/echo").status_code == 503
    assert warm(sample, url).status_code == 200
    assert len(sample.containers("Open")) == 1


def test_requests_and_answers_pass_through_whole(sample: ControlPlane, http: httpx2.Client) -> None:
    url = sample.server_url("sample", "Open")
    warm(sample, url)
    got = http.post(f"{url}/echo?a=%2F&b", content=b"x" * 100_000)
    assert got.content == b"a=%2F&b " + b"x" * 100_000
    assert got.headers["x-container"].startswith("ta-")
    headers = http.get(f"{url}/headers", headers={"X-Mine": "1", "Modal-Key": "k", "Modal-Secret": "s"}).text
    assert "x-mine" in headers
    assert "modal-" not in headers


def test_above_its_maximum_a_server_answers_429(sample: ControlPlane, http: httpx2.Client) -> None:
    url = sample.server_url("sample", "Open")
    warm(sample, url)
    with http.stream("GET", f"{url}/stream") as one, http.stream("GET", f"{url}/stream") as other:
        assert (one.status_code, other.status_code) == (200, 200)
        assert http.get(f"{url}/echo").status_code == 429


def test_a_client_that_leaves_is_seen_to_leave(sample: ControlPlane, http: httpx2.Client) -> None:
    url = sample.server_url("sample", "Open")
    warm(sample, url)
    mark = sample.volume("weights") / "left-seen"
    with http.stream("GET", f"{url}/stream?-seen") as answer:
        assert next(answer.iter_raw()) == b"1"
        assert not mark.exists()
    sample.wait(lambda _: mark.exists(), "the server has seen it")
    sample.wait(lambda plane: not plane.containers("Open")[-1]["requests"], "no request is counted")


def test_an_answer_that_breaks_off_does_not_look_whole(sample: ControlPlane, http: httpx2.Client) -> None:
    url = sample.server_url("sample", "Open")
    warm(sample, url)
    with http.stream("GET", f"{url}/stream") as answer:
        pieces = answer.iter_raw()
        assert next(pieces) == b"1"
        sample.kill(answer.headers["x-container"])
        with pytest.raises(httpx2.RemoteProtocolError):
            list(pieces)
    sample.wait(lambda plane: not plane.containers("Open", "ready"), "the container has ended")
    assert http.get(f"{url}/echo").status_code == 503


def test_without_credentials_a_guarded_server_answers_401_and_starts_nothing(
    sample: ControlPlane, http: httpx2.Client
) -> None:
    url = sample.server_url("sample", "Guarded")
    assert http.get(url).status_code == 401
    wrong = {"Modal-Key": "wk-tests", "Modal-Secret": "wrong"}
    assert http.get(url, headers=wrong).status_code == 401
    assert sample.containers("Guarded") == []


def test_several_containers_serve_the_same_port(sample: ControlPlane, http: httpx2.Client) -> None:
    url = sample.server_url("sample", "Guarded")
    headers = dict(zip(("Modal-Key", "Modal-Secret"), sample.credentials, strict=True))
    warm(sample, url, headers)
    with http.stream("GET", f"{url}/stream", headers=headers) as one:
        # A second request makes two for one container: there is to be another, which then is the less loaded.
        busy = one.headers["x-container"]
        with http.stream("GET", f"{url}/stream", headers=headers):
            sample.wait(lambda plane: len(plane.containers("Guarded", "ready")) == 2, "there are two")
        assert http.get(f"{url}/echo", headers=headers).headers["x-container"] != busy


def test_a_redeployment_lets_a_stream_end(sample: ControlPlane, http: httpx2.Client) -> None:
    url = sample.server_url("sample", "Open")
    warm(sample, url)
    finish = sample.volume("weights") / "finish"
    finish.unlink(missing_ok=True)
    with http.stream("GET", f"{url}/stream") as answer:
        pieces = answer.iter_raw()
        assert next(pieces) == b"1"
        sample.modal("deploy", SAMPLE, variables={"SAMPLE_VERSION": "2"})
        assert sample.containers("Open", "stopping")
        later = warm(sample, url)
        assert later.headers["x-container"] != answer.headers["x-container"]
        finish.write_text("")
        assert b"".join(pieces) == b" end"
    sample.wait(lambda plane: not plane.containers("Open", "stopping"), "the old container has ended")
    with http.stream("GET", f"{url}/stream") as answer:
        assert answer.read() == b"2 end"
