"""Runs `osls package` as a stranger does who has no account: without credentials, and a home of its own."""

import os
import subprocess
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[3]
OSLS = ROOT / "node_modules" / ".bin" / "osls"
WITHIN_S = 120  # a generous deadline: it takes some two seconds
GPU_URL = "https://lab--penstock-{model}.modal.run"


def package(folder: Path, stage: str, *parameters: str) -> subprocess.CompletedProcess[str]:
    """Compile a stage's templates into `folder`, with a zip that holds nothing for each function."""
    assert OSLS.exists(), "osls is not installed: run tests/install"
    zips = folder / "zips"
    zips.mkdir()
    for name in ("edge", "batch"):
        with ZipFile(zips / f"{name}.zip", "w") as archive:
            archive.writestr("nothing", "")
    options = [f"--param={parameter}" for parameter in (f"build={zips}", *parameters)]
    return subprocess.run(
        [str(OSLS), "package", "--stage", stage, "--package", str(folder / "package"), *options],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "AWS_EC2_METADATA_DISABLED": "true"},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
