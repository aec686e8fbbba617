"""From folders and archives to prepared data sets."""
