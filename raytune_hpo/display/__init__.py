"""Text, HTML and pictures for people: numbers and strings go in, nothing here knows trials or goals."""
