"""What the engine's package gives, and what importing it costs."""

import subprocess
import sys

from functions.gpu import engine
from functions.gpu.engine import figures, options, protocol


def test_every_public_name_is_there() -> None:
    seam = {
        name
        for module in (protocol, options)
        for name, thing in vars(module).items()
        if getattr(thing, "__module__", "") == module.__name__
    }
    assert set(engine.__all__) == seam | {
        "Event",
        "Figures",
        "Histogram",
        "load_engine",
        "prepare_engine",
        "resolve_model",
    }
    assert (engine.Figures, engine.Histogram) == (figures.Figures, figures.Histogram)
    assert all(hasattr(engine, name) for name in engine.__all__)


def test_importing_the_package_does_not_import_torch() -> None:
    look = "import sys, functions.gpu.engine; print({'torch', 'transformers'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
