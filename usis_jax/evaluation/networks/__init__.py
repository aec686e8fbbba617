"""Published networks that evaluator photos, each with a reader of its published file."""
