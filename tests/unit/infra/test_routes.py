"""Every path of the app, and every other, reaches one of the functions, and generations the one that is for them."""

import re
from collections.abc import Sequence

import pytest

from functions.edge.app import ROUTES
from tests.unit.infra.conftest import Compiled
from tests.unit.infra.deployments import every_deployment
from tests.unit.infra.template import Method, Template

GENERATES = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]
APP = sorted({(re.sub(r"\{.*?\}", "one", route.path), route.method) for route in ROUTES})
OTHERS = ["/", "/nowhere", "/nowhere/at/all", "/v1", "/v1/nowhere", "/v1/chat", "/v1/chat/nowhere", "/v1/models/a/b"]
STREAMING = ["development", "production", "production, with all that is optional"]
BUFFERING = ["staging, direct delivery, x86_64", "the tests' emulator"]


def reached(template: Template, verb: str, path: str) -> str:
    """The function that a request reaches, by its name in serverless.yml.

    As API Gateway chooses: the most specific resource, word by word and without a way back, then the method.
    Where there is none it answers by itself, which nothing of ours may.
    """
    words = [word for word in path.split("/") if word]
    methods = [method for method in template.methods() if method.path == _resource(template.methods(), words)]
    for wanted in (verb, "ANY"):
        for method in methods:
            if method.verb == wanted:
                name: str = template.functions()[method.function]["FunctionName"]
                return name.removeprefix(f"penstock-{template.stage}-")
    raise AssertionError(f"nothing takes {verb} {path}")


def _resource(methods: Sequence[Method], words: list[str]) -> str:
    paths = {method.path for method in methods}
    here = ""
    for place, word in enumerate(words):
        if any(f"{path}/".startswith(f"{here}/{word}/") for path in paths):
            here = f"{here}/{word}"
            continue
        # Without {proxy+} at this very place, a request may be lost: whether API Gateway looks further up is not said.
        return f"{here}/{{proxy+}}" if f"{here}/{{proxy+}}" in paths or place == 0 else "nowhere"
    return here or "/"


@every_deployment
def test_a_route_of_the_app_reaches_a_function(compiled: Compiled, deployment: str) -> None:
    template = compiled(deployment)
    for path, method in APP:
        streamed = deployment in STREAMING and path in GENERATES and method == "POST"
        assert reached(template, method, path) == ("edge-stream" if streamed else "edge"), (method, path)


@every_deployment
def test_what_the_app_refuses_reaches_it(compiled: Compiled, deployment: str) -> None:
    template = compiled(deployment)
    for path in {*OTHERS, *GENERATES, *(path for path, _ in APP)}:
        for method in ("GET", "OPTIONS", "DELETE", "PUT"):
            assert reached(template, method, path) == "edge", (method, path)


def test_a_path_that_is_lost_is_found_out(compiled: Compiled) -> None:
    template = compiled("development").copied()
    del template.resources["ApiGatewayMethodV1ChatProxyVarAny"]
    with pytest.raises(AssertionError, match="nothing takes GET /v1/chat/nowhere"):
        reached(template, "GET", "/v1/chat/nowhere")


def test_generations_are_what_the_app_generates_at() -> None:
    assert [path for path, method in APP if method == "POST" and path in GENERATES] == GENERATES
    others = {path for path, method in APP if method == "POST" and path not in GENERATES and "/admin/" not in path}
    assert others == {"/v1/batches", "/v1/batches/one/cancel", "/v1/files"}


@pytest.mark.parametrize("deployment", STREAMING)
def test_generations_alone_are_streamed(compiled: Compiled, deployment: str) -> None:
    streamed = [(one.verb, one.path) for one in compiled(deployment).methods() if one.streams]
    assert sorted(streamed) == [("POST", path) for path in GENERATES]


@pytest.mark.parametrize("deployment", BUFFERING)
def test_without_streams_there_is_no_function_for_them(compiled: Compiled, deployment: str) -> None:
    template = compiled(deployment)
    names = sorted(function["FunctionName"] for function in template.functions().values())
    assert names == [
        f"penstock-{template.stage}-{name}" for name in ("batch", "dropped", "edge", "queue", "reconciler")
    ]
    assert not any(method.streams for method in template.methods())
