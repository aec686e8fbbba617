"""The error for what a user must change."""


class UserError(ValueError):
    """What the user must change: one line that names the field or file, the value, what to do.

    `usis` prints it without a traceback and exits 2; every other error is a fault of the program.
    """
