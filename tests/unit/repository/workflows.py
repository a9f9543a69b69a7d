"""The workflows of GitHub Actions, as they are written."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from tests.unit.repository.locks import ROOT

FOLDER = ROOT / ".github" / "workflows"


@dataclass(frozen=True)
class Step:
    """One step of a job: it uses an action, or runs a script."""

    job: str
    fields: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What GitHub shows."""
        name: str = self.fields["name"]
        return name

    @property
    def run(self) -> str:
        """The script; empty where it uses an action."""
        script: str = self.fields.get("run", "")
        return script

    @property
    def env(self) -> Mapping[str, str]:
        """Its own environment."""
        env: Mapping[str, str] = self.fields.get("env", {})
        return env


class Workflow:
    """One workflow."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self.content: Mapping[str, Any] = yaml.safe_load(self.text)

    @property
    def jobs(self) -> Mapping[str, Mapping[str, Any]]:
        """Its jobs by name."""
        jobs: Mapping[str, Mapping[str, Any]] = self.content["jobs"]
        return jobs

    @property
    def triggers(self) -> Mapping[str, Any]:
        """What it runs on. YAML 1.1 reads the word `on` as true."""
        triggers: Mapping[str, Any] = dict(self.content)[True]  # type: ignore[index]
        return triggers

    def steps(self) -> Iterator[Step]:
        """The steps of all jobs."""
        for name, job in self.jobs.items():
            for fields in job.get("steps", ()):
                yield Step(name, fields)

    def uses(self) -> Iterator[tuple[str, str]]:
        """Every action and workflow that it uses, with the comment beside it."""
        yield from re.findall(r"^\s*(?:- )?uses: (\S+)(?: # (.*))?$", self.text, re.MULTILINE)


def workflow(name: str) -> Workflow:
    """The workflow of that name."""
    return Workflow(FOLDER / f"{name}.yml")
