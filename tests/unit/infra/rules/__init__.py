"""The policy that every compiled template is held to. A rule yields one line for each breach it finds."""

from collections.abc import Callable, Iterator

from tests.unit.infra.rules import events, front, rights, storage, watch
from tests.unit.infra.template import Template

RULES: tuple[Callable[[Template], Iterator[str]], ...] = (
    *(*rights.RULES, *storage.RULES, *front.RULES, *events.RULES, *watch.RULES),
)


def breaches(template: Template) -> list[str]:
    """All that a template breaches."""
    return [line for rule in RULES for line in rule(template)]
