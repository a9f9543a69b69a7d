"""cfn-lint finds nothing in any stage's templates, and would."""

import json
import subprocess
import sys
from pathlib import Path

from tests.unit.infra.conftest import Compiled
from tests.unit.infra.deployments import every_deployment

CFN_LINT = Path(sys.executable).with_name("cfn-lint")
# osls lets an alias depend on its function twice over.
NOT_OURS = ["--ignore-checks", "W3005"]


def lint(*templates: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CFN_LINT, *NOT_OURS, "--", *templates],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@every_deployment
def test_a_stage_is_clean(compiled: Compiled, deployment: str) -> None:
    done = lint(compiled(deployment).origin)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_what_holds_the_zips_is_clean(compiled: Compiled) -> None:
    """The stack as it is first made, for the zips to have a place: the same for all stages."""
    done = lint(compiled("production").origin.with_name("cloudformation-template-create-stack.json"))
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_a_mistake_is_found(compiled: Compiled, tmp_path: Path) -> None:
    template = compiled("development").copied()
    template.resources["LedgerTable"]["Properties"]["BillingModus"] = "PAY_PER_REQUEST"
    broken = tmp_path / "template.json"
    broken.write_text(json.dumps(template.body), encoding="utf-8")
    assert "BillingModus" in lint(broken).stdout
