"""Configuration: the schema with every check, settings, and files of ml-collections."""
