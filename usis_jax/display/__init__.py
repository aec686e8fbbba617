"""What people see while they wait: image grids, loss plots, progress, colours."""
