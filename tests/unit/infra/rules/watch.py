"""Rules about what is seen: logs that end, alarms that reach somebody, and tags on everything."""

from collections.abc import Iterator

from tests.unit.infra.template import Properties, Template, text

LOOKS_AT_ADDRESSES_ALONE = {"AWSManagedRulesAmazonIpReputationList"}


def logs_end(template: Template) -> Iterator[str]:
    groups = {group["LogGroupName"]: group for group in template.of("Logs::LogGroup").values()}
    for name, function in template.functions().items():
        group = groups.get(f"/aws/lambda/{function['FunctionName']}")
        if group is None or "RetentionInDays" not in group:
            yield f"the logs of {name} are kept for ever"


def each_function_is_watched(template: Template) -> Iterator[str]:
    watched = {(metric, name) for metric, name in _watched(template) if name}
    for name, function in template.functions().items():
        # What nobody waits for is tried again where it was throttled.
        wanted = {"Errors", "Throttles"} if "-edge" in function["FunctionName"] else {"Errors"}
        for metric in sorted(wanted - {metric for metric, of in watched if of == f"${{{name}}}"}):
            yield f"nobody is told of the {metric} of {name}"


def the_rest_is_watched(template: Template) -> Iterator[str]:
    metrics = {metric for metric, _ in _watched(template)}
    wanted = {"Duration p99", "WriteThrottleEvents", "ApproximateNumberOfMessagesVisible"}
    if template.stage != "emulator":  # which knows no alarms over two metrics
        wanted.add("5XXError")
    for metric in sorted(wanted - metrics):
        yield f"there is no alarm on {metric}"


def _watched(template: Template) -> Iterator[tuple[str, str]]:
    """Each metric that has an alarm, and the first dimension's value."""
    for alarm in template.of("CloudWatch::Alarm").values():
        for metric in (
            alarm,
            *(one["MetricStat"]["Metric"] for one in alarm.get("Metrics", ()) if "MetricStat" in one),
        ):
            if "MetricName" in metric:
                statistic = f" {metric['ExtendedStatistic']}" if "ExtendedStatistic" in metric else ""
                yield f"{metric['MetricName']}{statistic}", text(metric["Dimensions"][0]["Value"])


def alarms_reach_the_topic(template: Template) -> Iterator[str]:
    topics = [{"Ref": "Alarms"}]
    for name, alarm in template.of("CloudWatch::Alarm").items():
        if alarm.get("AlarmActions") != topics:
            yield f"{name} tells nobody"
    for name, budget in template.of("Budgets::Budget").items():
        if not all(_reaches(notice, topics) for notice in budget["NotificationsWithSubscribers"]):
            yield f"{name} tells nobody"


def _reaches(notice: Properties, topics: list[Properties]) -> bool:
    return [one["Address"] for one in notice["Subscribers"]] == topics


def no_prompt_is_blocked(template: Template) -> Iterator[str]:
    for name, firewall in template.of("WAFv2::WebACL").items():
        for rule in firewall["Rules"]:
            statement = rule["Statement"]
            managed = statement.get("ManagedRuleGroupStatement", {}).get("Name")
            if managed not in LOOKS_AT_ADDRESSES_ALONE and "RateBasedStatement" not in statement:
                yield f"{name} has {rule['Name']}, which may look at what is in a request"


def all_is_tagged(template: Template) -> Iterator[str]:
    """CloudFormation gives a stack's tags to every resource in it that takes any."""
    if template.tags != {"service": "penstock", "stage": template.stage}:
        yield f"the stack has the tags {template.tags}"


RULES = (
    logs_end,
    each_function_is_watched,
    the_rest_is_watched,
    alarms_reach_the_topic,
    no_prompt_is_blocked,
    all_is_tagged,
)
