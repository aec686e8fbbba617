"""Commands of `usis`, one a module: `add(commands)` its arguments, `run(values)` its work."""
