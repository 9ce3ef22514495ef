"""The learners of the methods: torch modules. Nothing here is imported before a training starts."""
