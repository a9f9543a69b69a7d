"""The edge: authenticates, validates, admits and dispatches. Knows no model."""
