"""Methods that `train` drives: losses, optimisers, the train state and the train step."""
