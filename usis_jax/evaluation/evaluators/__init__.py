"""Networks used for measuring: features, segmentation networks, their weights."""
