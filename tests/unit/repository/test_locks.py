"""The locks: complete, hashed, true to pyproject.toml, and free of torch, CUDA and hosts."""

import json
import re
import subprocess
from collections import Counter
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.unit.repository.locks import (
    EXTRAS,
    FUNCTIONS,
    LOCKS,
    PROJECT,
    ROOT,
    asked,
    closure,
    entries,
    group,
    lock_text,
    wanted,
)

every_lock = pytest.mark.parametrize("lock", LOCKS)

NODE = ROOT / "tests" / "servers" / "node"


@every_lock
def test_every_entry_is_pinned_and_hashed(lock: str) -> None:
    found = entries(lock)
    assert len(found) > 10
    for entry in found:
        assert entry.version
        assert entry.hashes, f"{entry.name} has no hash"


@every_lock
def test_a_lock_names_no_host_and_no_path(lock: str) -> None:
    text = re.sub(
        r"-[rc] (pyproject\.toml|infra/locks/dev\.txt)|penstock \(pyproject\.toml:[a-z]+\)", "", lock_text(lock)
    )
    assert "://" not in text
    assert not re.search(r"^\s*(-|[./])(?!-hash=)", text, re.MULTILINE), "an option or a path"
    assert "/" not in text


@every_lock
def test_no_lock_holds_torch_or_cuda(lock: str) -> None:
    names = {entry.name for entry in entries(lock)}
    assert not [name for name in names if re.match(r"torch$|nvidia|cuda|triton|penstock", name)]


@every_lock
def test_no_package_is_locked_twice_for_one_machine(lock: str) -> None:
    counted = Counter(entry.name for entry in entries(lock) if entry.applies)
    assert [name for name, count in counted.items() if count > 1] == []


@pytest.mark.parametrize("lock", [*EXTRAS, *FUNCTIONS])
def test_a_lock_holds_all_that_is_asked_for(lock: str) -> None:
    """What `pip install --require-hashes` would otherwise find out on the machine it is deployed to."""
    locked = {entry.name: entry.version for entry in entries(lock) if entry.applies}
    for requirement in closure(asked(lock)):
        name = canonicalize_name(requirement.name)
        if name in ("penstock", "torch"):
            continue
        assert name in locked, f"{requirement} is not in the lock: run infra/locks/compile"
        assert requirement.specifier.contains(locked[name], prereleases=True), (
            f"{requirement}: {locked[name]} is locked"
        )


@pytest.mark.parametrize("lock", ["gpu", *FUNCTIONS])
def test_what_is_deployed_has_the_versions_that_are_tested(lock: str) -> None:
    tested = {(entry.name, entry.version) for entry in entries("dev")}
    assert {(entry.name, entry.version) for entry in entries(lock)} <= tested


def test_the_tests_run_on_the_locked_versions() -> None:
    for entry in entries("dev"):
        if entry.applies:
            assert metadata.version(entry.name) == entry.version, f"{entry.name}: run scripts/install"


def test_the_servers_of_the_tests_are_the_locked_versions() -> None:
    installed = "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()))"
    python = ROOT / ".venv" / "servers" / "bin" / "python"
    printed = subprocess.run([python, "-c", installed], capture_output=True, text=True, timeout=60, check=True).stdout
    found = {canonicalize_name(line.partition("==")[0]): line.partition("==")[2] for line in printed.split()}
    assert found == {entry.name: entry.version for entry in entries("servers") if entry.applies}
    for requirement in group("servers"):
        assert requirement.specifier.contains(found[canonicalize_name(requirement.name)])


def test_the_lock_for_node_js_pins_and_hashes_and_names_no_registry() -> None:
    lock = json.loads((NODE / "package-lock.json").read_text(encoding="utf-8"))
    wanted = json.loads((NODE / "package.json").read_text(encoding="utf-8"))
    assert lock["packages"].pop("")["dependencies"] == wanted["dependencies"]
    assert len(lock["packages"]) > 10
    for path, package in lock["packages"].items():
        assert package["integrity"].startswith("sha512-"), path
        assert "resolved" not in package, path
    for name, version in wanted["dependencies"].items():
        assert lock["packages"][f"node_modules/{name}"]["version"] == version


def test_torch_is_the_same_version_everywhere() -> None:
    (pin,) = [requirement for requirement in wanted(["gpu"]) if requirement.name == "torch"]
    assert str(pin.specifier) == f"=={metadata.version('torch').partition('+')[0]}"
    assert str(pin) in (ROOT / "scripts" / "install").read_text(encoding="utf-8")


def test_the_locks_were_made_from_the_needs_of_torchs_cpu_build() -> None:
    (declared,) = PROJECT["tool"]["uv"]["dependency-metadata"]
    needs = [Requirement(line) for line in metadata.requires("torch") or ()]
    names = {
        canonicalize_name(need.name) for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})
    }
    light = {name for name in names if not name.startswith(("nvidia", "triton", "cuda"))}
    assert light == {Requirement(line).name for line in declared["requires-dist"]}
    assert declared["version"] == metadata.version("torch").partition("+")[0]


def test_the_build_backend_is_the_locked_one() -> None:
    """`scripts/install` builds without isolation: with the hatchling of the lock."""
    (backend,) = PROJECT["build-system"]["requires"]
    assert backend in [f"{entry.name}=={entry.version}" for entry in entries("dev")]
