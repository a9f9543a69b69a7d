"""The proxy's own command line, in a process that ends with the benchmark.

`python -m benchmarks.edge.litellm.process OPTION...`, with the Python of .venv/litellm; the options are those of
the command `litellm`.
"""

from benchmarks.child import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    from litellm.proxy.proxy_cli import run_server  # type: ignore[import-not-found]

    run_server()
