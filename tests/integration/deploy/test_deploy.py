"""`penstock deploy` against the workspace of the tests: before anything is there, and once all is."""

import json

import orjson

from penstock.deployment import class_name
from tests.integration.cli.command import done, penstock, refused
from tests.integration.deploy.conftest import Workspace

VARIABLES = ("PENSTOCK_LEDGER_URL", "PENSTOCK_TICKET_KEYS", "AWS_ROLE_ARN", "AWS_REGION")


def test_what_is_missing_at_modal_is_named_until_it_is_there(workspace: Workspace) -> None:
    """One story, because each step needs the one before it."""
    said = workspace.run("deploy", "check", "--online")
    assert said.returncode == 1
    assert "✗ the secret trial-secret: " in said.stdout
    assert "`modal secret create trial-secret PENSTOCK_LEDGER_URL=... PENSTOCK_TICKET_KEYS=..." in said.stdout
    for model in ("large", "acme/local"):
        assert f"✗ {model}: is not deployed\n    `modal deploy -m functions.gpu.modal_app`" in said.stdout
        assert f"✗ {model}: its weights are not on the Volume\n    `penstock weights pull {model}`" in said.stdout
    assert "5 wrong" in said.stdout
    assert "trial" in refused(workspace.run("deploy", "urls"))

    workspace.plane.set_secret("trial-secret", dict.fromkeys(VARIABLES[:-1], "x"))
    assert "✗ the secret trial-secret: " in workspace.run("deploy", "check", "--online").stdout

    workspace.plane.set_secret("trial-secret", dict.fromkeys(VARIABLES, "x"))
    workspace.deploy()
    for model in ("large", "local"):
        done(workspace.run("weights", "pull", model))
    all_right = done(workspace.run("deploy", "check", "--online"))
    assert "0 wrong, 0 that only Modal can tell" in all_right
    assert f"✓ acme/local: its weights are on the Volume, at {workspace.current()}" in all_right

    (workspace.local / "tokenizer.json").write_bytes(b"[]")
    changed = workspace.run("deploy", "check", "--online")
    assert f"✗ acme/local: its weights on the Volume are not those of {workspace.local}" in changed.stdout

    urls = orjson.loads(done(workspace.run("deploy", "urls")))
    assert urls == {
        name: workspace.plane.server_url("trial", class_name("Gate", name)) for name in ("large", "acme/local")
    }
    edge = {
        "PENSTOCK_LEDGER_URL": "sqlite:////tmp/ledger.db",
        "PENSTOCK_TICKET_KEYS": "a:" + "A" * 43 + "=",
        "PENSTOCK_GPU_URL": json.dumps(urls),
        "PENSTOCK_GPU_KEY": "wk-a",
        "PENSTOCK_GPU_SECRET": "ws-a",
    }
    checked = penstock("deploy", "check", "--edge", "--config", workspace.table, **edge)
    assert "✓ the edge's settings are complete, and lead to every model" in done(checked)
