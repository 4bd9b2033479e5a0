"""Other tuners' names on top of this project's own parts: scripts move in by changing their import line."""
