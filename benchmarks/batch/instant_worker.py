"""A worker whose engine answers at once: `python -m benchmarks.batch.instant_worker`.

Everything but the engine is the worker's own: log, slices, ledger, the app that each line goes through. A token of a
prompt is a byte here, so nothing is tokenized, and an answer is as long as it may be.
"""

from functools import partial

from functions.gpu import worker_process
from functions.gpu.process import Process
from tests.integration.gpu.scripted import ScriptedEngine

MOST_TOKENS = 512

if __name__ == "__main__":
    engine = ScriptedEngine(*["word "] * MOST_TOKENS)
    vars(worker_process).update(Process=partial(Process, engine=engine))
    worker_process.main()
