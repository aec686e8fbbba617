"""Published networks that measure images, each with a reader of its published file."""
