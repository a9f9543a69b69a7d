"""Runs one packaged function in a fresh process, and prints what it took.

`python -P -S start.py FOLDER HANDLER`, where FOLDER is the unpacked zip and HANDLER is `module.name`. Standard input is
a list of events in JSON. Nothing is imported here but the standard library's least, so that what is counted is the
function's: the CPU time, user and system, of all threads, in milliseconds.
"""

import json
import os
import sys
import time


class Context:
    """Of Lambda's context, what the functions read."""

    aws_request_id = "00000000-0000-4000-8000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        """As much as a function behind API Gateway has."""
        return 28_000


def main() -> None:
    """The last line of standard output is the result: `import_ms`, and of each event its `ms` and `status`."""
    folder, name = sys.argv[1:]
    events = json.load(sys.stdin)
    sys.path.insert(0, folder)
    os.chdir(folder)
    module, _, attribute = name.rpartition(".")
    begun = time.process_time()
    handler = getattr(__import__(module, fromlist=[attribute]), attribute)
    imported = (time.process_time() - begun) * 1_000
    requests = []
    for event in events:
        begun = time.process_time()
        answer = handler(event, Context())
        taken = (time.process_time() - begun) * 1_000
        requests.append({"ms": taken, "status": answer.get("statusCode", 200)})
    result = {"import_ms": imported, "requests": requests}
    sys.stdout.write(f"\n{json.dumps(result)}\n")
    sys.stdout.flush()
    os._exit(0)  # what is still open is the function's, which Lambda freezes as it is


if __name__ == "__main__":
    main()
