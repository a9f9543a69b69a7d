"""What is compiled for the tests: stages with the parameters that change what is made."""

import pytest

from tests.unit.infra.osls import GPU_URL

CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0a1b"
KEY = "arn:aws:kms:us-east-1:123456789012:key/0a1b"

# By a name of its own: a stage, and what is set beside its own parameters. Of each choice there is one.
DEPLOYMENTS: dict[str, tuple[str, list[str]]] = {
    "development": ("dev", []),
    "staging, direct delivery, x86_64": (
        "staging",
        ["generation=redirect", f"gpuPublicUrl={GPU_URL}", "architecture=x86_64"],
    ),
    "production": ("production", []),
    "production, with all that is optional": (
        "production",
        [
            *("waf=on", "tracing=on", "snapStartStream=on", "reservedConcurrency=20"),
            *("alarmEmail=alarms@lab.example", "monthlyBudgetUsd=100"),
            *("domain=api.lab.example", f"certificateArn={CERTIFICATE}", "hostedZoneId=Z0123"),
            *("secrets=/aws/reference/secretsmanager/penstock/production", f"secretsKeyArn={KEY}"),
            *("serviceKeyId=key_0123", "webhookUrl=https://lab.example/hook"),
            *("corsOrigins=https://lab.example", "ledgerTable=penstock-restored"),
        ],
    ),
    "the tests' emulator": ("emulator", []),
}

every_deployment = pytest.mark.parametrize("deployment", DEPLOYMENTS)
