"""A compiled template, read: what the rules and tests ask of it."""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Properties = dict[str, Any]


def text(value: Any) -> str:
    """A value as one string, with `${Name}` and `${Name.Attribute}` where CloudFormation fills something in."""
    match value:
        case {"Ref": name}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"${{{name}.{attribute}}}"
        case {"Fn::Sub": template}:
            return str(template)
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(map(text, parts))
    assert isinstance(value, str | int | float), value
    return str(value)


def listed(value: Any) -> list[Any]:
    """A value that may be one or a list, as a list."""
    return value if isinstance(value, list) else [value]


@dataclass(frozen=True)
class Statement:
    """One statement of a policy: its own resource in the template, and what it says."""

    owner: str
    body: Properties

    @property
    def allows(self) -> bool:
        return bool(self.body["Effect"] == "Allow")

    @property
    def actions(self) -> list[str]:
        return [str(action) for action in listed(self.body["Action"])]

    @property
    def resources(self) -> list[str]:
        return [text(resource) for resource in listed(self.body["Resource"])]


@dataclass(frozen=True)
class Method:
    """A method of the API, and the integration behind it."""

    path: str
    verb: str
    integration: Properties

    @property
    def streams(self) -> bool:
        return self.integration.get("ResponseTransferMode") == "STREAM"

    @property
    def uri(self) -> str:
        return text(self.integration["Uri"])

    @property
    def function(self) -> str:
        """The function's name in the template."""
        return self.uri.split("${")[-1].split(".Arn}")[0]


class Template:
    """The template of one stage, as CloudFormation gets it."""

    def __init__(self, stage: str, body: dict[str, Any], tags: dict[str, str], origin: Path) -> None:
        self.stage = stage
        self.body = body
        self.tags = tags
        self.origin = origin

    @classmethod
    def read(cls, stage: str, folder: Path) -> "Template":
        """What `osls package` has left in a folder."""
        origin = folder / "cloudformation-template-update-stack.json"
        state = json.loads((folder / "serverless-state.json").read_text(encoding="utf-8"))
        tags = state["service"]["provider"].get("stackTags", {})
        return cls(stage, json.loads(origin.read_text(encoding="utf-8")), tags, origin)

    def copied(self) -> "Template":
        """Another like it, which may be changed."""
        return Template(self.stage, copy.deepcopy(self.body), dict(self.tags), self.origin)

    @property
    def resources(self) -> dict[str, Any]:
        resources: dict[str, Any] = self.body["Resources"]
        return resources

    def of(self, kind: str) -> dict[str, Properties]:
        """The properties of all resources of a type, by their names."""
        found = {name: one for name, one in self.resources.items() if one["Type"] == f"AWS::{kind}"}
        return {name: one.get("Properties", {}) for name, one in found.items()}

    def functions(self) -> dict[str, Properties]:
        return self.of("Lambda::Function")

    def function(self, name: str) -> Properties:
        """A function, by its name in serverless.yml."""
        (found,) = [one for one in self.functions().values() if one["FunctionName"] == f"penstock-{self.stage}-{name}"]
        return found

    def role_of(self, function: Properties) -> str:
        """The name of its role's resource."""
        return text(function["Role"]).removeprefix("${").removesuffix(".Arn}")

    def statements(self, role: str) -> Iterator[Statement]:
        """All that a role may do: what it says itself, and what is attached to it."""
        here = self.of("IAM::Role")[role]
        for policy in here.get("Policies", ()):
            yield from _statements(role, policy["PolicyDocument"])
        for arn in here.get("ManagedPolicyArns", ()):
            yield from _statements(arn["Ref"], self.of("IAM::ManagedPolicy")[arn["Ref"]]["PolicyDocument"])
        for name, policy in self.of("IAM::Policy").items():
            if {"Ref": role} in policy["Roles"]:
                yield from _statements(name, policy["PolicyDocument"])

    def rights(self, function: str, service: str) -> set[str]:
        """What a function may do at a service, as `GetItem`."""
        statements = self.statements(self.role_of(self.function(function)))
        actions = [action for statement in statements for action in statement.actions]
        return {action.partition(":")[2] for action in actions if action.startswith(f"{service}:")}

    def methods(self) -> list[Method]:
        """The API's, all of them."""
        methods = self.of("ApiGateway::Method").values()
        return [Method(self._path(one["ResourceId"]), one["HttpMethod"], one["Integration"]) for one in methods]

    def _path(self, resource: Properties) -> str:
        if "Ref" not in resource:  # the root is an attribute of the API
            return "/"
        here = self.of("ApiGateway::Resource")[resource["Ref"]]
        return f"{self._path(here['ParentId']).removesuffix('/')}/{here['PathPart']}"


def _statements(owner: str, document: Properties) -> Iterator[Statement]:
    for body in document["Statement"]:
        yield Statement(owner, body)
