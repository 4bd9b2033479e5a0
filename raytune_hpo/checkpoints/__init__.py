"""Checkpoints: folders that objectives write, kept whole and told apart by their digests."""
