"""The control plane as a process of its own, as the tests use it.

It ends with the tests, and with it all containers: see tests/servers/tethered.py.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.servers.process import serving

REPOSITORY = Path(__file__).parents[2]
WITHIN_S = 60.0  # a generous deadline for what a test waits for
LINES = 60  # of a log, where it is shown

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A running one. `environment` leads Modal's client, in another process, to it and nowhere else."""

    url: str
    folder: Path
    environment: Mapping[str, str]
    credentials: tuple[str, str] = ("wk-tests", "ws-tests")

    def state(self) -> Json:
        """All it knows: README.md says in what form."""
        answer = httpx2.get(f"{self.url}/tests/state", trust_env=False, timeout=WITHIN_S)
        answer.raise_for_status()
        state: Json = answer.json()
        return state

    def function(self, app: str, name: str) -> Json:
        """What is deployed under the name: `Class.*` for a class. Raises KeyError where nothing is."""
        apps = [each for each in self.state()["apps"] if each["name"] == app]
        function: Json = apps[-1]["functions"][name]
        return function

    def server_url(self, app: str, name: str) -> str:
        """The URL of a deployed server, without a slash at its end."""
        return str(self.function(app, name)["url"])

    def containers(self, function: str, *states: str) -> list[Json]:
        """The function's containers, the oldest first; those of the states alone, where any are given."""
        found = [each for each in self.state()["containers"] if each["function"] == function]
        return [each for each in found if not states or each["state"] in states]

    def wait(self, condition: "Callable[[ControlPlane], object]", what: str) -> Any:
        """What the condition gives, as soon as it is true. Fails the test after a minute."""
        deadline = time.monotonic() + WITHIN_S
        while not (value := condition(self)):
            assert time.monotonic() < deadline, f"still not so: {what}\n{self.logs()}"
            time.sleep(0.05)
        return value

    def set_secret(self, name: str, values: Mapping[str, str]) -> None:
        """Create or replace a named secret; containers that start from now on have it."""
        self._do("PUT", f"secrets/{name}", values)

    def let_reach(self, port: int) -> None:
        """Let containers that start from now on reach that port of this machine's 127.0.0.1."""
        self._do("PUT", f"reach/{port}")

    def kill(self, container_id: str) -> None:
        """End a container and all that it started, by SIGKILL."""
        self._do("POST", f"containers/{container_id}/kill")

    def stop(self, container_id: str) -> None:
        """Let a container finish its inputs and end."""
        self._do("POST", f"containers/{container_id}/stop")

    def volume(self, name: str) -> Path:
        """The folder that has a Volume's files. Raises KeyError where there is none."""
        return Path(self.state()["volumes"][name])

    def log(self, container_id: str) -> str:
        """What a container has written."""
        return (self.folder / "containers" / f"{container_id}.log").read_text(errors="replace")

    def logs(self) -> str:
        """The ends of all logs, for who reads of a failure."""
        files = [self.folder / "control_plane.log", *sorted((self.folder / "containers").glob("*.log"))]
        parts = [(file.name, file.read_text(errors="replace").splitlines()[-LINES:]) for file in files if file.exists()]
        return "\n".join(f"--- {name}\n" + "\n".join(lines) for name, lines in parts)

    def modal(self, *arguments: str, variables: Mapping[str, str] = {}) -> str:
        """Run Modal's own command line in the repository; gives what it wrote. Fails the test where it fails."""
        done = subprocess.run(
            [sys.executable, "-m", "modal", *arguments],
            cwd=REPOSITORY,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **self.environment, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * WITHIN_S,
            check=False,
        )
        assert done.returncode == 0, f"modal {' '.join(arguments)}:\n{done.stdout}{done.stderr}\n{self.logs()}"
        return done.stdout

    def check(self) -> None:
        """Fail the test where something was asked of the control plane that it does not do as Modal does."""
        problems = self.state()["problems"]
        assert not problems, "\n".join(problems) + "\n" + self.logs()

    def _do(self, method: str, path: str, body: object = None) -> None:
        answer = httpx2.request(method, f"{self.url}/tests/{path}", json=body, trust_env=False, timeout=WITHIN_S)
        assert answer.status_code == 204, f"{path}: {answer.status_code} {answer.text}"


@contextmanager
def control_plane(
    folder: Path,
    *,
    reach: Collection[int] = (),
    variables: Mapping[str, str] = {"OMP_NUM_THREADS": "1"},
) -> Iterator[ControlPlane]:
    """Run one, which keeps all in the folder. `variables` are set in every container; `reach` are ports of this
    machine's 127.0.0.1 that containers reach as their own."""
    state = folder / "control_plane"

    def command(listen: int) -> list[str]:
        options = [f"--reach={port}" for port in reach] + [f"--set={name}={value}" for name, value in variables.items()]
        return [sys.executable, "-m", "tests.control_plane", f"--state={state}", f"--listen={listen}", *options]

    state.mkdir()
    environment = {"PYTHONPATH": str(REPOSITORY), "HOME": str(folder)}
    with serving(command, state / "control_plane.log", health="/tests/state", environment=environment) as url:
        yield ControlPlane(url, state, json.loads((state / "client.json").read_text()))
