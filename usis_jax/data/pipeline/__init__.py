"""What training reads: records, samplers, the input pipeline."""
