"""Web pages of the service: rendered by the server, and kept up to date by one small script."""
