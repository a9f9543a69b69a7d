"""Which tests may be skipped. Anywhere else a skip in CI is a failure: a test that does not run shows nothing.

On a developer's machine (no `CI` in the environment) a skip stays a skip.
"""

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

ALLOWED = {
    "no CUDA device": "the kernels of the GPU engine; run on a machine that has one",
    "no Node.js 20": "DynamoDB's strict rules, which dynalite knows, and what osls makes; run where there is Node.js",
    "no Linux": "Modal's own runtime, whose containers here are namespaces of Linux, and zips built for Lambda",
    "no Python 3.13": "zips for the Lambda Python, whose bytecode it compiles; the emulator's are for 3.11",
    "no deployment to ask": "the smoke test, which the deployment's workflow runs (docs/deploy.md)",
    "no edge to ask": "the smoke test of a deployment whose edge is not up yet",
    "AWS itself refuses what comes through a proxy": "faults on the way to DynamoDB; run with the emulator",
}

AnyReport = TypeVar("AnyReport", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Hold a test's report to the list."""
    return _judged((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Hold a module that skips itself to the list."""
    return _judged((yield))


def _judged(report: AnyReport) -> AnyReport:
    if not os.environ.get("CI") or not report.skipped or hasattr(report, "wasxfail"):
        return report
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if reason.removeprefix("Skipped: ") not in ALLOWED:
        report.outcome = "failed"
        report.longrepr = f"{reason}\nA skip fails in CI unless tests/skips.py lists its reason."
    return report
