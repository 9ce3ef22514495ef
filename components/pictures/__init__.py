"""Pictures of what the stages found, one PNG a function."""
