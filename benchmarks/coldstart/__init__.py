"""Cold start: what a packaged function costs before its first answer."""
