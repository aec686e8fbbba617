"""The work directory: its layout, metric writers, provenance, records of evaluations."""
