"""The scripts, run in a folder of their own with stand-ins for the programs they call."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.repository.locks import ROOT

SCRIPTS = [
    *sorted((ROOT / "scripts").iterdir()),
    *(ROOT / path for path in (".ci/run", "infra/locks/compile", "tests/install")),
]

# Stands in for python3.11: notes what it is asked, makes a .venv of itself, and really runs `-c`.
PYTHON = f"""#!/usr/bin/env bash
set -eu
[[ $1 == -c ]] && exec {sys.executable} "$@"
echo "$*" >>asked
case "$*" in
    "-m venv --clear .venv") rm -rf .venv ;&
    "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    "-m venv --clear --without-pip .venv/servers") rm -rf .venv/servers && mkdir -p .venv/servers ;;
    "-m infra.packaging.supply "*) mkdir -p .venv/wheels ;;&
    *${{FAIL_AT:-nowhere}}*) exit 1 ;;
esac
"""

# Stand in for Node.js, of the status NODE where it is asked for its version, and for its npm.
NODE = "#!/usr/bin/env bash\nexit ${NODE:-0}\n"
NPM = '#!/usr/bin/env bash\nset -eu\necho "npm $* in ${PWD##*/}" >>"$CHECKOUT/asked"\nmkdir -p node_modules\n'

INSTALLED = (
    *("pyproject.toml", "scripts/install", "infra/locks/dev.txt"),
    *("tests/install", "infra/locks/servers.txt", "infra/locks/edge.txt", "infra/locks/batch.txt"),
    *("tests/servers/node/package-lock.json", "package-lock.json"),
)


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def run(command: list[str | Path], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.environ["PATH"]} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.relative_to(ROOT).as_posix())
def test_a_script_is_short_strict_and_says_what_it_does(script: Path) -> None:
    lines = script.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert lines[1].startswith("# ")
    assert "set -euo pipefail" in lines
    assert len(lines) <= 40
    assert os.access(script, os.X_OK)
    assert run(["bash", "-n", script], ROOT).returncode == 0


# -- install


class Checkout:
    """A folder with what scripts/install reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for path in INSTALLED:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, folder / path)
        for name, program in (("python3.11", PYTHON), ("node", NODE), ("npm", NPM)):
            write_program(folder.parent / "bin" / name, program)

    @property
    def environment(self) -> Mapping[str, str]:
        path = f"{self.folder.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {"PATH": path, "CHECKOUT": str(self.folder)}

    def install(self, **environment: str) -> list[str]:
        """What python was asked in one run of scripts/install."""
        return self.run("scripts/install", **environment)

    def install_tests(self, **environment: str) -> list[str]:
        """What python and npm were asked in one run of tests/install."""
        return self.run("tests/install", **environment)

    def run(self, script: str, **environment: str) -> list[str]:
        """What was asked in one run of a script."""
        (self.folder / "asked").unlink(missing_ok=True)
        self.result = run([self.folder / script], Path("/"), **{**self.environment, **environment})
        return self.asked()

    def asked(self) -> list[str]:
        asked = self.folder / "asked"
        return asked.read_text().splitlines() if asked.exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    (tmp_path / "checkout").mkdir()
    return Checkout(tmp_path / "checkout")


def test_install_takes_torch_then_the_lock_then_the_package(checkout: Checkout) -> None:
    venv, torch, lock, package = checkout.install()
    assert checkout.result.returncode == 0, checkout.result.stderr
    assert venv == "-m venv --clear .venv"
    assert torch.endswith("--no-deps torch==2.13.0")
    assert lock.endswith("--no-deps --require-hashes --requirement infra/locks/dev.txt")
    assert package.endswith("--no-deps --no-build-isolation --editable .")


PACKAGES = 4  # what scripts/install asks for: venv, torch, the lock, the package
SERVERS = [
    "-m venv --clear --without-pip .venv/servers",
    (
        "-m pip --python .venv/servers/bin/python --disable-pip-version-check install -qq --no-compile --no-deps "
        "--require-hashes --requirement infra/locks/servers.txt"
    ),
]
WHEELS = ["-m infra.packaging.supply 3.11-x86_64 3.13-x86_64 3.13-arm64"]
NODE_JS = [
    "npm ci --ignore-scripts --no-audit --no-fund --loglevel error in node",
    "npm ci --ignore-scripts --no-audit --no-fund --loglevel error in checkout",
]
ALL = [*SERVERS, *WHEELS, *NODE_JS]


def test_what_tests_need_comes_after_the_rest_and_from_its_own_locks(checkout: Checkout) -> None:
    assert checkout.install_tests()[PACKAGES:] == ALL
    assert checkout.result.returncode == 0, checkout.result.stderr


@pytest.mark.parametrize(
    ("lock", "again"),
    [
        ("infra/locks/servers.txt", SERVERS),
        ("infra/locks/edge.txt", WHEELS),
        ("infra/locks/batch.txt", WHEELS),
        ("tests/servers/node/package-lock.json", NODE_JS[:1]),
        ("package-lock.json", NODE_JS[1:]),
    ],
)
def test_a_changed_lock_of_the_tests_installs_what_it_is_for(checkout: Checkout, lock: str, again: list[str]) -> None:
    checkout.install_tests()
    with (checkout.folder / lock).open("a") as file:
        file.write("\n")
    assert checkout.install_tests() == again
    assert checkout.install_tests() == []


def test_an_interrupted_installation_of_the_servers_is_made_again(checkout: Checkout) -> None:
    checkout.install_tests(FAIL_AT="servers.txt")
    assert checkout.result.returncode == 1
    assert checkout.install_tests() == ALL


def test_wheels_that_cannot_be_had_fail_nothing_else(checkout: Checkout) -> None:
    assert checkout.install_tests(FAIL_AT="supply")[PACKAGES:] == ALL
    assert checkout.result.returncode == 0
    assert "the wheels could not be downloaded" in checkout.result.stderr
    assert checkout.install_tests() == WHEELS  # the next run tries again


def test_without_a_node_js_that_is_new_enough_the_rest_is_installed(checkout: Checkout) -> None:
    assert checkout.install_tests(NODE="1")[PACKAGES:] == [*SERVERS, *WHEELS]
    assert checkout.result.returncode == 0
    assert checkout.install_tests() == NODE_JS  # it has come


def test_an_npm_that_fails_fails_nothing_else(checkout: Checkout) -> None:
    npm = checkout.folder.parent / "bin" / "npm"
    write_program(npm, "#!/usr/bin/env bash\nexit 1\n")
    assert checkout.install_tests()[PACKAGES:] == [*SERVERS, *WHEELS]
    assert checkout.result.returncode == 0
    assert "npm failed for tests/servers/node/package.json" in checkout.result.stderr
    assert "npm failed for ./package.json" in checkout.result.stderr
    write_program(npm, NPM)
    assert checkout.install_tests() == NODE_JS  # the next run tries again


def test_without_any_node_js_the_rest_is_installed(checkout: Checkout) -> None:
    tools = checkout.folder.parent / "bin"
    for name in ("node", "npm"):
        (tools / name).unlink()
    for name in ("bash", "cat", "cmp", "cp", "dirname", "env", "head", "mkdir", "rm"):
        (tools / name).symlink_to(str(shutil.which(name)))
    assert checkout.install_tests(PATH=str(tools))[PACKAGES:] == [*SERVERS, *WHEELS]
    assert (checkout.result.returncode, checkout.install_tests(PATH=str(tools))) == (0, [])


@pytest.mark.parametrize("script", ["scripts/install", "tests/install"])
def test_install_again_does_nothing_and_says_nothing(checkout: Checkout, script: str) -> None:
    checkout.run(script)
    assert checkout.run(script) == []
    assert (checkout.result.returncode, checkout.result.stdout, checkout.result.stderr) == (0, "", "")


@pytest.mark.parametrize("changed", ["pyproject.toml", "infra/locks/dev.txt", "scripts/install"])
def test_a_change_installs_again_into_what_is_there(checkout: Checkout, changed: str) -> None:
    checkout.install()
    with (checkout.folder / changed).open("a") as file:
        file.write("# changed\n")
    assert checkout.install()[0] == "-m venv .venv"
    assert checkout.install() == []


@pytest.mark.parametrize("at", ["torch", "require-hashes", "editable"])
def test_an_interrupted_run_is_begun_anew(checkout: Checkout, at: str) -> None:
    checkout.install()
    (checkout.folder / "infra/locks/dev.txt").write_text("")
    checkout.install(FAIL_AT=at)
    assert checkout.result.returncode == 1
    assert checkout.install()[0] == "-m venv --clear .venv"
    assert checkout.install() == []


def test_a_folder_that_was_moved_is_begun_anew(checkout: Checkout) -> None:
    checkout.install()
    checkout.folder = checkout.folder.rename(checkout.folder.with_name("moved"))
    assert checkout.install()[0] == "-m venv --clear .venv"


def test_runs_at_once_install_once(checkout: Checkout) -> None:
    command = [checkout.folder / "tests" / "install"]
    runs = [subprocess.Popen(command, env=checkout.environment, stderr=subprocess.DEVNULL) for _ in range(4)]
    assert [one.wait(60) for one in runs] == [0, 0, 0, 0]
    assert len(checkout.asked()) == PACKAGES + len(ALL)


def test_without_python_install_says_so_in_one_line(checkout: Checkout) -> None:
    tools = checkout.folder.parent / "bin"
    (tools / "python3.11").unlink()
    for name in ("bash", "dirname"):
        (tools / name).symlink_to(str(shutil.which(name)))
    write_program(tools / "python3", "#!/usr/bin/env bash\nexit 1\n")  # one that is too old
    result = run([checkout.folder / "scripts" / "install"], checkout.folder, PATH=str(tools))
    assert result.returncode == 1
    assert result.stderr == "penstock needs Python 3.11 or newer: no python3.11 or python3 like that on PATH\n"


# -- lint


@pytest.mark.parametrize("failing", [[], ["ruff"], ["mypy"], ["ruff", "lint-imports"], ["zizmor"]])
def test_lint_runs_every_check_and_is_quiet_when_all_is_well(tmp_path: Path, failing: list[str]) -> None:
    write_program(tmp_path / "scripts" / "lint", (ROOT / "scripts" / "lint").read_text())
    write_program(tmp_path / "scripts" / "install", "#!/usr/bin/env bash\n")
    tools = ("ruff", "mypy", "lint-imports", "zizmor")
    for tool in tools:
        status = int(tool in failing)
        text = f'#!/usr/bin/env bash\necho "{tool} $*" >>asked\necho "said by {tool}"\nexit {status}\n'
        write_program(tmp_path / ".venv" / "bin" / tool, text)
    result = run([tmp_path / "scripts" / "lint"], Path("/"))
    asked = [line.split()[:2] for line in (tmp_path / "asked").read_text().splitlines()]
    assert asked == [["ruff", "check"], ["ruff", "format"], ["mypy"], ["lint-imports"], ["zizmor", "--offline"]]
    assert result.returncode == int(bool(failing))
    assert {tool for tool in tools if f"said by {tool}" in result.stderr} == set(failing)
    assert result.stdout == ""
