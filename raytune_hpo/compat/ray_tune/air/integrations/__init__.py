"""``ray.air.integrations``: loggers for other services."""
