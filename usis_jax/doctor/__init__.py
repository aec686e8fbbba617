"""What `usis doctor` looks at: packages, devices, memory, disk, data, caches, a work directory."""
