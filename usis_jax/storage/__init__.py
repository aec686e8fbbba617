"""Files: atomic writes, locks, the cache folder, errors of disks."""
