"""Layers with parameters: spectral norm, SPADE, equalised learning rate."""
