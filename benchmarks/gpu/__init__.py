"""The engine on a CUDA device: is it right there, and how fast is it beside what the device can do at most."""
