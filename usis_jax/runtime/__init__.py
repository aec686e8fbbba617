"""How the process runs: compilation and trace caches, host memory."""
