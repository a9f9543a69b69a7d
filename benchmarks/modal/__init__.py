"""`scripts/bench modal`: the ways to a model, with Modal's client and runtime between or without."""
