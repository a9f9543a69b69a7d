"""Rules about the API: where each method leads, how its answer comes, and that whoever calls waits longer."""

from collections.abc import Iterator

from tests.unit.infra.template import Method, Properties, Template, text

BUFFERED_MS = 29_000  # API Gateway's longest wait for a whole answer
STREAMED_MS = 900_000  # and for a stream's end
SCHEDULED_S = 60  # a run of what is scheduled every minute ends before the next one
WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"
INVOKE = "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path"


def the_api_is_regional(template: Template) -> Iterator[str]:
    """An edge-optimised one ends a stream that is silent for 30 seconds."""
    for name, api in template.of("ApiGateway::RestApi").items():
        if api["EndpointConfiguration"] != {"Types": ["REGIONAL"]}:
            yield f"{name} is not regional"


def the_stage_throttles(template: Template) -> Iterator[str]:
    stages = template.of("ApiGateway::Stage")
    if not stages:
        yield "there is no stage"
    for name, stage in stages.items():
        (settings,) = stage["MethodSettings"]
        if (settings["ResourcePath"], settings["HttpMethod"]) != ("/*", "*"):
            yield f"{name} has settings that are not of all methods"
        if not {"ThrottlingRateLimit", "ThrottlingBurstLimit"} <= settings.keys():
            yield f"{name} takes any number of requests"


def integrations_are_invocations(template: Template) -> Iterator[str]:
    for method in template.methods():
        target = f"${{{method.function}.Arn}}{_alias(template, method.function)}"
        path = f"2021-11-15/functions/{target}/response-streaming-invocations"
        if not method.streams:
            path = f"2015-03-31/functions/{target}/invocations"
        if method.uri != f"{INVOKE}/{path}":
            yield f"{_name(method)} leads to {method.uri}"
        if method.integration["Type"] != "AWS_PROXY" or method.integration["IntegrationHttpMethod"] != "POST":
            yield f"{_name(method)} is no proxy"


def each_target_may_be_invoked(template: Template) -> Iterator[str]:
    permissions = template.of("Lambda::Permission").values()
    allowed = {text(one["FunctionName"]) for one in permissions if one["Principal"] == "apigateway.amazonaws.com"}
    for function in {method.function for method in template.methods()}:
        target = f"${{{function}.Arn}}{_alias(template, function)}"
        if target not in allowed:
            yield f"the API may not invoke {target}"


def _alias(template: Template, function: str) -> str:
    """With SnapStart the alias of the published version is invoked: the function itself has no snapshot."""
    snapshot = template.functions()[function].get("SnapStart", {}).get("ApplyOn") == "PublishedVersions"
    aliases = [one["Name"] for one in template.of("Lambda::Alias").values() if one["FunctionName"] == {"Ref": function}]
    return f":{aliases[0]}" if snapshot and aliases else ":a version, which there is not" if snapshot else ""


def what_streams_has_the_runtime_for_it(template: Template) -> Iterator[str]:
    for method in template.methods():
        variables = template.functions()[method.function]["Environment"]["Variables"]
        if method.streams and variables.get(WRAPPER) != "/var/task/functions/edge/stream":
            yield f"{_name(method)} streams from a function that cannot"
        if not method.streams and WRAPPER in variables:
            yield f"{_name(method)} waits for the whole answer of a function that streams"


def callers_wait_longer(template: Template) -> Iterator[str]:
    functions = template.functions()
    for method in template.methods():
        wait, longest = method.integration["TimeoutInMillis"], STREAMED_MS if method.streams else BUFFERED_MS
        if wait > longest:
            yield f"{_name(method)} waits longer than API Gateway can"
        if functions[method.function]["Timeout"] * 1_000 >= wait:
            yield f"{method.function} may take longer than {_name(method)} waits"
    for rule in template.of("Events::Rule").values():
        for target in rule["Targets"]:
            function = _scheduled(target)
            if functions[function]["Timeout"] >= SCHEDULED_S:
                yield f"{function} may still run when it is scheduled again"


def _scheduled(target: Properties) -> str:
    return text(target["Arn"]).removeprefix("${").removesuffix(".Arn}")


def a_deployment_holds_all_of_the_api(template: Template) -> Iterator[str]:
    """It is a copy of what is there when it is made, and makes no stage beside ours."""
    parts = {*template.of("ApiGateway::Method"), *template.of("ApiGateway::GatewayResponse")}
    for name, deployment in template.of("ApiGateway::Deployment").items():
        for part in sorted(parts - set(template.resources[name]["DependsOn"])):
            yield f"{name} does not wait for {part}"
        if "StageName" in deployment:
            yield f"{name} makes a stage"


def _name(method: Method) -> str:
    return f"{method.verb} {method.path}"


RULES = (
    the_api_is_regional,
    the_stage_throttles,
    integrations_are_invocations,
    each_target_may_be_invoked,
    what_streams_has_the_runtime_for_it,
    callers_wait_longer,
    a_deployment_holds_all_of_the_api,
)
