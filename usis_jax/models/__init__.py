"""The players: generator, segmenter, discriminator and its decoder."""
