"""What `usis inspect` looks at and shows."""
