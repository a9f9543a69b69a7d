"""The demo model: the dialogues it learns, how it is trained, and how it is measured."""
