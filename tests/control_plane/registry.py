"""What is deployed: apps by name, and their functions, classes and servers.

A deployment first creates functions and then publishes the app; until then the version before stays in force.
"""

import time
from dataclasses import dataclass, field

from modal_proto import api_pb2 as pb

from tests.control_plane.definition import Definition
from tests.control_plane.ids import Ids
from tests.control_plane.rpc import Refusal


@dataclass(slots=True)
class App:
    """One app. `functions` and `classes` are ids by the name in the app."""

    id: str
    name: str
    state: "pb.AppState.ValueType" = pb.APP_STATE_INITIALIZING
    version: int = 0
    created_at: float = field(default_factory=time.time)
    stopped_at: float = 0.0
    functions: dict[str, str] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Variant:
    base: str
    parameters: bytes
    options: pb.FunctionOptions


class Registry:
    """Apps and definitions by id."""

    def __init__(self, ids: Ids) -> None:
        self.ids = ids
        self.apps: dict[str, App] = {}
        self.published: dict[str, Definition] = {}
        self._staged: dict[str, Definition] = {}
        self._variants: dict[str, _Variant] = {}
        self._variant_ids: dict[bytes, str] = {}

    def create_app(self, name: str, state: "pb.AppState.ValueType") -> App:
        """A new app, not yet deployed."""
        app = App(self.ids.new("ap"), name, state)
        self.apps[app.id] = app
        return app

    def app(self, app_id: str) -> App:
        """Raises Refusal where there is none."""
        if app_id not in self.apps:
            raise Refusal.not_found(f"App {app_id!r}")
        return self.apps[app_id]

    def deployed(self, name: str) -> App | None:
        """The app deployed under the name."""
        return self._named(name, pb.APP_STATE_DEPLOYED)

    def stopped(self, name: str) -> App | None:
        """The one stopped last of those which had the name."""
        return self._named(name, pb.APP_STATE_STOPPED)

    def stage(self, definition: Definition) -> None:
        """Keep a definition for the app's publication."""
        self._staged[definition.function_id] = definition

    def publish(self, app: App, functions: dict[str, str], classes: dict[str, str]) -> None:
        """Put the app's staged definitions in force."""
        app.functions, app.classes = functions, classes
        app.version += 1
        for function_id in functions.values():
            if function_id in self._staged:
                self.published[function_id] = self._staged.pop(function_id)

    def bind(self, base: str, parameters: bytes, options: pb.FunctionOptions) -> str:
        """The id of the variant; the same for the same parameters and options."""
        key = b"\0".join([base.encode(), parameters, options.SerializeToString(deterministic=True)])
        if key not in self._variant_ids:
            self._variant_ids[key] = self.ids.new("fu")
            self._variants[self._variant_ids[key]] = _Variant(base, parameters, options)
        return self._variant_ids[key]

    def base(self, function_id: str) -> str:
        """The id of the function that this is a variant of, or itself."""
        variant = self._variants.get(function_id)
        return variant.base if variant else function_id

    def definition(self, function_id: str) -> Definition:
        """What is in force or, before the first publication, staged. Raises Refusal where there is none."""
        if variant := self._variants.get(function_id):
            return self.definition(variant.base).with_options(function_id, variant.parameters, variant.options)
        definition = self.published.get(function_id) or self._staged.get(function_id)
        if definition is None:
            raise Refusal.not_found(f"Function {function_id!r}")
        return definition

    def newest(self, function_id: str) -> Definition:
        """What is staged or else in force: what a deployment that goes on is about."""
        return self._staged.get(function_id) or self.definition(function_id)

    def find(self, app_name: str, name: str, *, classes: bool = False) -> str:
        """The id of a deployed app's function or class. Raises Refusal where there is none."""
        app = self.deployed(app_name)
        if app is None:
            raise Refusal.not_found(f"App {app_name!r}")
        found = (app.classes if classes else app.functions).get(name)
        if found is None:
            raise Refusal.not_found(f"{'Class' if classes else 'Function'} {name!r} of App {app_name!r}")
        return found

    def _named(self, name: str, state: "pb.AppState.ValueType") -> App | None:
        found = [app for app in self.apps.values() if app.name == name and app.state == state]
        return found[-1] if found else None
