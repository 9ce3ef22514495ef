"""The Prefect tasks, one a stage, and the adapters to tracking, registry, compute and language models."""
