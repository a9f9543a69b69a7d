"""`python -m benchmarks.gpu [--quick] [--device cuda] [--seconds S]`: is the engine right on a GPU, and how fast.

Needs this repository, torch and transformers, nothing else and no network. Prints JSON lines as it goes.
Correctness and speed are processes of their own: an error of CUDA's poisons the process that meets it. The
exit code is 0 where everything went well and was right.
"""

import argparse
import subprocess
import sys

_PARTS = ("correctness", "speed")


def main() -> None:
    """Run both parts, whatever comes of the first."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description="Check and time the engine on a GPU.")
    parser.add_argument("--quick", action="store_true", help="a tiny model: shows that it runs, measures little")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="where to run it (default: cuda)")
    parser.add_argument("--seconds", type=float, default=120.0, help="the most for each section (default: 120)")
    options = parser.parse_args()
    arguments = [options.device, "quick" if options.quick else "full", str(options.seconds)]
    codes = {
        part: subprocess.run([sys.executable, "-m", f"benchmarks.gpu.{part}", *arguments], check=False).returncode
        for part in _PARTS
    }
    sys.exit(any(codes.values()))


if __name__ == "__main__":
    main()
