"""`functions.edge.streaming`, tied to the process that measures it: `python -m benchmarks.streaming.function`."""

import sys

from benchmarks.child import end_with_parent
from functions.edge.streaming import main

if __name__ == "__main__":
    end_with_parent()
    sys.exit(main())
