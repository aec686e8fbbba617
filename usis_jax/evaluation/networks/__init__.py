"""Published networks that judge photos, each with a reader of its published file."""
