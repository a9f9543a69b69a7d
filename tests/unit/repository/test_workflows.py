"""CI: pinned actions, least rights, bounded times, no secret where it is not needed, and commands that are there.

What zizmor finds by itself (scripts/lint) is shown to be found; the rest is held here.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.command import done, here
from tests.unit.repository.locks import ROOT
from tests.unit.repository.workflows import FOLDER, Step, Workflow, workflow

WORKFLOWS = [Workflow(path) for path in sorted(FOLDER.iterdir())]
STEPS = [step for one in WORKFLOWS for step in one.steps()]
SCRIPTS = [step for step in STEPS if step.run]
OSLS = "node_modules/.bin/osls"
ENVIRONMENT = "${{ inputs.environment || (github.ref_type == 'tag' && 'production' || 'staging') }}"

every_workflow = pytest.mark.parametrize("one", WORKFLOWS, ids=lambda one: one.path.name)
every_script = pytest.mark.parametrize("step", SCRIPTS, ids=lambda step: f"{step.job}-{step.name}")


def deployment(name: str) -> Step:
    """The step of that name in the deployment's job."""
    (step,) = [step for step in workflow("deploy").steps() if step.name == name]
    return step


@every_workflow
def test_every_action_is_pinned_to_a_commit_and_says_its_version(one: Workflow) -> None:
    uses = list(one.uses())
    assert len(uses) == len(re.findall(r"\buses:", one.text)) > 0
    for action, version in uses:
        if action.startswith("$/"):
            assert (ROOT / action.removeprefix("$/")).is_file()
        else:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)
            assert re.fullmatch(r"v\d+\.\d+\.\d+", version)


def test_an_action_is_the_same_commit_everywhere() -> None:
    pins = {action for one in WORKFLOWS for action, _ in one.uses() if "@" in action}
    names = [action.partition("@")[0] for action in pins]
    assert sorted(names) == sorted(set(names))


@every_workflow
def test_rights_are_given_to_jobs_and_are_the_least(one: Workflow) -> None:
    assert one.content["permissions"] == {}
    for name, job in one.jobs.items():
        identity = {"id-token": "write"} if (one.path.stem, name) == ("deploy", "deploy") else {}
        assert job["permissions"] == {"contents": "read"} | identity


@every_workflow
def test_every_job_ends_in_time_and_one_at_a_time(one: Workflow) -> None:
    for job in one.jobs.values():
        if "steps" in job:
            assert 0 < job["timeout-minutes"] <= 300
            assert job["concurrency"]["group"]


@every_workflow
def test_nothing_runs_with_the_rights_of_this_repository_on_what_others_wrote(one: Workflow) -> None:
    assert set(one.triggers) <= {"pull_request", "push", "workflow_call", "workflow_dispatch"}
    assert "github.event." not in one.text
    for step in one.steps():
        if step.fields.get("uses", "").startswith("actions/checkout@"):
            assert step.fields["with"]["persist-credentials"] is False


@every_script
def test_a_script_is_strict_and_takes_its_values_from_the_environment(step: Step) -> None:
    assert step.fields["shell"] == "bash"
    assert step.run.startswith("set -euo pipefail\n")
    assert "${{" not in step.run
    checked = subprocess.run(["bash", "-n"], input=step.run, capture_output=True, text=True, timeout=60, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@every_script
def test_everything_that_a_script_calls_is_there(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    programs = re.findall(r"^\s*(?:\w+=\$\()?(\S*/\S+)", step.run.partition("\n")[2], re.MULTILINE)
    assert programs or step.run.splitlines()[1].startswith("sudo sysctl ")
    for program in programs:
        # osls is there once npm has installed it, at the version of the lock.
        assert program == OSLS or (ROOT / program).is_file()
    for module in re.findall(r"-m (functions[\w.]+)", step.run):
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
    for folder in re.findall(r"\btests/\w+", step.run):
        assert list((ROOT / folder).glob("test_*.py"))
    for command in re.findall(r"\.venv/bin/penstock ([a-z]+ [a-z]+)", step.run):
        assert done(here(*command.split(), "--help"))


def test_a_check_runs_what_a_developer_runs() -> None:
    namespaces, step = [step for step in workflow("test").steps() if step.run]
    assert "userns" in namespaces.run  # which such machines keep from their users (tests/control_plane/README.md)
    assert step.run.splitlines()[1:] == [".ci/run"]


def test_nothing_is_deployed_before_every_check_has_passed_on_that_commit() -> None:
    deploy = workflow("deploy")
    assert deploy.jobs["test"]["uses"] == "$/.github/workflows/test.yml"
    assert deploy.jobs["deploy"]["needs"] == "test"
    assert deploy.jobs["deploy"]["if"] == "vars.PENSTOCK_DEPLOY == 'true'"
    assert deploy.triggers["push"] == {"branches": ["main"], "tags": ["v*"]}
    assert deploy.triggers["workflow_dispatch"]["inputs"]["environment"]["options"] == ["staging", "production"]
    assert deploy.jobs["deploy"]["environment"] == ENVIRONMENT
    assert deploy.jobs["deploy"]["concurrency"] == {"group": f"deploy-{ENVIRONMENT}", "cancel-in-progress": False}


def test_secrets_are_given_to_the_steps_that_need_them_and_to_no_other() -> None:
    holders = [step.name for step in STEPS if "secrets." in str(step.fields)]
    asking = r"bin/modal |weights pull|deploy urls|tests/smoke"
    assert holders == [step.name for step in STEPS if re.search(asking, step.run)]
    written = sum(one.text.count("secrets.") for one in WORKFLOWS)
    assert written == sum(str(dict(step.env)).count("secrets.") for step in STEPS)


def test_credentials_of_aws_are_given_to_the_steps_that_change_the_stack_and_to_no_other() -> None:
    given = [step.name for step in STEPS if re.search(r"steps\.aws\w*\.outputs", str(step.fields))]
    assert given == [step.name for step in STEPS if re.search(rf"scripts/deploy|{OSLS} |botocore", step.run)]
    assert len(given) == 3
    assumed = [step for step in STEPS if "role-to-assume" in step.fields.get("with", {})]
    assert [step.fields["id"] for step in assumed] == ["aws", "aws_again"]
    for step in assumed:
        assert step.fields["with"]["output-env-credentials"] is False


def test_the_gpu_half_is_deployed_before_the_edge_that_sends_it_requests_and_the_edge_goes_back_first() -> None:
    names = [step.name for step in workflow("deploy").steps()]
    order = [
        "Pull new weights before they are served",
        "Deploy the GPU half",
        "Pull the weights of every model that are not there yet",
        "Note which edge is deployed now",
        "Deploy the table and the edge",
        "Ask every model something",
        "Go back to the edge that was deployed before",
        "Go back to the GPU half that was deployed before",
    ]
    assert [name for name in names if name in order] == order
    assert names[-1] == order[-1]


def test_a_deployment_that_fails_afterwards_is_rolled_back() -> None:
    steps = list(workflow("deploy").steps())
    conditions = {step.name: step.fields["if"] for step in steps if "if" in step.fields}
    # A step that has changed the stack may still fail; a stack that went back by itself has nothing more to do.
    edge = "(failure() || cancelled()) && steps.edge.outcome != 'skipped'"
    gpu = "(failure() || cancelled()) && steps.gpu.outcome == 'success'"
    assert conditions == {
        "Assume the role in AWS again, to go back": edge,
        "Go back to the edge that was deployed before": edge,
        "Go back to the GPU half that was deployed before": gpu,
    }
    assert deployment("Deploy the GPU half").fields["id"] == "gpu"
    assert deployment("Deploy the table and the edge").fields["id"] == "edge"
    assert f"{OSLS} rollback" in deployment("Go back to the edge that was deployed before").run
    assert ".venv/bin/modal app rollback" in deployment("Go back to the GPU half that was deployed before").run
    assert not [step.name for step in steps if step.fields.get("continue-on-error")]


def test_a_step_that_hangs_fails_before_its_job_is_cancelled() -> None:
    *_, after = "\n".join(step.name for step in workflow("deploy").steps()).partition("Deploy the GPU half\n")
    bounds = [step.fields["timeout-minutes"] for step in workflow("deploy").steps() if step.name in after.split("\n")]
    before = deployment("Deploy the GPU half").fields["timeout-minutes"]
    assert before + sum(bounds) < workflow("deploy").jobs["deploy"]["timeout-minutes"]


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("Go back to the GPU half that was deployed before", "modal app rollback penstock\n"),
        ("Pull new weights before they are served", "penstock weights pull\n"),
        ("Pull the weights of every model that are not there yet", "penstock weights pull\n"),
    ],
)
def test_what_is_rolled_back_and_pulled_is_what_the_table_names(name: str, printed: str) -> None:
    script = re.sub(r"\.venv/bin/(modal|penstock)\b", r"echo \1", deployment(name).run)
    script = script.replace(".venv/bin/python", sys.executable)
    result = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout) == (0, printed), result.stderr


# What zizmor has to find: a workflow that was spoilt by one change.
BREACHES = [
    ("unpinned-uses", r"actions/checkout@[0-9a-f]{40} # v[\d.]+", "actions/checkout@v6"),
    ("artipacked", r"persist-credentials: false", "persist-credentials: true"),
    ("template-injection", r"\.ci/run", ".ci/run ${{ github.event.pull_request.title }}"),
    ("dangerous-triggers", r"  pull_request:", "  pull_request_target:"),
    ("excessive-permissions", r"permissions: \{\}", "permissions: write-all"),
]


@pytest.mark.parametrize(("audit", "pattern", "spoilt"), BREACHES, ids=[audit for audit, *_ in BREACHES])
def test_a_breach_is_found(tmp_path: Path, audit: str, pattern: str, spoilt: str) -> None:
    github = tmp_path / ".github"
    shutil.copytree(ROOT / ".github", github)
    path = github / "workflows" / "test.yml"
    text, changes = re.subn(pattern, lambda _: spoilt, path.read_text())
    assert changes == 1
    path.write_text(text)
    (line,) = re.findall(r"^check (zizmor .*)$", (ROOT / "scripts" / "lint").read_text(), re.MULTILINE)
    program, *options = line.split()
    command = [str(Path(sys.executable).with_name(program)), *options]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode not in (0, 1, 2), result.stderr
    assert f"[{audit}]" in result.stdout
