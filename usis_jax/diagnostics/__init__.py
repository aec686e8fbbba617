"""Training diagnostics: what is measured, and the rules that read it."""
