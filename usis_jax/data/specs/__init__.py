"""Label specs: classes, palettes, void, and the way from ids in files to train ids."""
