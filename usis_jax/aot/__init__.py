"""Ahead-of-time compilation: memory, operations and time on devices that are not here."""
