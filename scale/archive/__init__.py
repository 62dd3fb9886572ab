"""Archives of recordings over Dask distributed: one record a task, each result written once."""
