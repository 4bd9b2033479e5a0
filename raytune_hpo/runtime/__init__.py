"""Running: workers and what they say, and two places where trials run. Ray has a room of its own."""
