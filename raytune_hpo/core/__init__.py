"""The core: the state machine of a study, the fold of its facts, and the optimizer, which adds a journal and a clock."""
