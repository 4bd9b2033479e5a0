"""Deciding: the state machine of a study, the fold of its facts, and the journal around both. Knows no Ray."""
