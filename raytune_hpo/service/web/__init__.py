"""Web pages of the service: made whole by the server, and kept up to date by one small script."""
