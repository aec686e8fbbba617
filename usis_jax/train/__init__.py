"""A run from start to end: the loop, evaluation during training, resuming."""
