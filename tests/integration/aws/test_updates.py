"""A deployment's life: with redirects, with secrets that change, deployed again, and removed.

The tests follow one another, on an account of their own.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

import pytest

from tests.e2e.service import wait_for
from tests.integration.aws.account import aws, inventory
from tests.integration.aws.deployment import GPU, NEXT_TICKET_KEY, SECRETS, Deployment, deployed, put_secret
from tests.integration.gpu.stand import TICKET_KEYS

CHAT: dict[str, Any] = {"model": "demo", "messages": [{"role": "user", "content": "Hello!"}], "temperature": 0}


@pytest.fixture(scope="module")
def direct(zips: Path, architecture: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Penstock, deployed for direct delivery: the edge admits, and redirects to the GPU process."""
    options = {"architecture": architecture, "generation": "redirect", "gpuPublicUrl": GPU}
    with deployed(tmp_path_factory.mktemp("direct"), zips, **options) as deployment:
        yield deployment


def redirect(direct: Deployment, key: str) -> SplitResult:
    """Where the edge sends a chat."""
    answer = direct.call("POST", "/v1/chat/completions", key, json=CHAT)
    assert (answer.status_code, answer.headers["penstock-delivery"]) == (307, "direct"), answer.text
    return urlsplit(answer.headers["location"])


def test_a_chat_is_redirected_and_openais_client_follows(direct: Deployment) -> None:
    key = direct.key()
    target = redirect(direct, key)
    assert f"{target.scheme}://{target.netloc}" == direct.gpu_url
    raw = direct.client(key).chat.completions.with_raw_response.create(**CHAT)
    assert [answer.status_code for answer in raw.http_response.history] == [307]
    assert str(raw.http_response.url).startswith(direct.gpu_url)
    assert "authorization" not in raw.http_response.request.headers
    whole = raw.parse().choices[0].message.content
    stream = direct.client(key).chat.completions.create(**CHAT, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == whole


def test_what_cannot_be_redirected_comes_through_the_edge(direct: Deployment) -> None:
    answer = direct.call("POST", "/v1/chat/completions", headers={"x-api-key": direct.key()}, json=CHAT)
    assert (answer.status_code, answer.headers["penstock-delivery"]) == (200, "relay"), answer.text


def test_ticket_keys_are_rotated_without_a_deployment(direct: Deployment) -> None:
    key, function = direct.key(), direct.stack.function("edge")
    variables = direct.stack.configuration("edge")["Configuration"]["Environment"]["Variables"]
    often = {"Variables": {**variables, "PENSTOCK_SECRETS_CACHE_S": "1"}}  # minutes, where no test waits
    aws("lambda", "update_function_configuration", FunctionName=function, Environment=often)

    def signed_by() -> str:
        (ticket,) = parse_qs(redirect(direct, key).query)["ticket"]
        return ticket.partition(".")[0]

    assert signed_by() == "test"
    revision = direct.stack.configuration("edge")["Configuration"]["RevisionId"]
    put_secret("ticket-keys", f"{NEXT_TICKET_KEY},{TICKET_KEYS}")
    wait_for("the next key", lambda: signed_by() == "next")
    assert direct.stack.configuration("edge")["Configuration"]["RevisionId"] == revision
    assert direct.client(key).chat.completions.create(**CHAT).choices[0].message.content


def test_deployed_again_it_keeps_what_it_has(direct: Deployment) -> None:
    """With SnapStart now. ministack publishes the version, takes no snapshot, and runs its own Python."""
    key = direct.key()
    assert direct.client(key).chat.completions.create(**CHAT).usage is not None
    before, used = inventory(), direct.call("GET", "/v1/usage", key).json()["data"]
    changes = {"snapStart": "on", "pythonRuntime": "python3.13"}
    replace(direct.stack, parameters={**direct.stack.parameters, **changes}).deploy()
    assert inventory() == before
    assert direct.stack.url() == direct.url
    assert [row["requests"] for row in used] == [1]
    assert direct.call("GET", "/v1/usage", key).json()["data"] == used
    assert direct.client(key).chat.completions.create(**CHAT).choices[0].message.content


def test_with_snapstart_the_api_calls_the_version_that_was_published(direct: Deployment) -> None:
    function = direct.stack.function("edge")
    versions = aws("lambda", "list_versions_by_function", FunctionName=function)["Versions"]
    (version,) = [one for one in versions if one["Version"] != "$LATEST"]
    assert version["SnapStart"]["ApplyOn"] == "PublishedVersions"
    resources = aws("apigateway", "get_resources", restApiId=direct.stack.outputs()["ApiId"], embed=["methods"])
    methods = [method for resource in resources["items"] for method in resource.get("resourceMethods", {}).values()]
    (called,) = {method["methodIntegration"]["uri"] for method in methods}
    qualified = called.partition(":function:")[2].removesuffix("/invocations")
    assert qualified.startswith(f"{function}:")
    shown = aws("lambda", "get_function_configuration", FunctionName=qualified)
    assert (shown["Version"], shown["CodeSha256"]) == (version["Version"], version["CodeSha256"])


def test_removed_it_leaves_nothing(direct: Deployment) -> None:
    """Nothing but the secrets, which were there before it."""
    assert '"findings":[]' in direct.penstock("ledger", "verify", "--json").replace(" ", "")
    direct.stack.remove()
    left = {service: names for service, names in inventory().items() if names}
    assert left == {"ssm": {f"/penstock/emulator/{name}" for name in SECRETS}}
