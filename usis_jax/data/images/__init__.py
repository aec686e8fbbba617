"""Images: how files become arrays, and arrays files."""
