"""The algorithms of Kintsugi, importable one by one; nothing here knows Prefect, MLflow or Ray."""
