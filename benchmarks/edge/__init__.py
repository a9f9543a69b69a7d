"""The edge, measured: a warm request and where its time goes, 200 streams through the relay."""
