"""What the orchestrator reads: one pipeline, and beside it what its tasks and alerts share."""
