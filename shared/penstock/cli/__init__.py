"""The `penstock` command line: what an owner of Penstock does by hand.

One noun a file. Importing this package imports none of them, so that a served process, which is started
through it, pays for none.
"""

__all__ = ["main"]


def main() -> int:
    """Run the command that the arguments name; its exit code."""
    from penstock.cli.app import run  # noqa: PLC0415

    return run()
