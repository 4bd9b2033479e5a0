"""Deciding: the state machine of a study, the fold of its facts, and the journal around both. Knows no Ray.

messages     commands to the state machine, and its replies
ledger       the fold of facts: trials, queues, owners, counts, running time
fold         the ledger with the sampler and the scheduler that learn from the same facts
machine      the state machine: a command in, a reply and facts out
suggestions  queue of suggestions, some prepared ahead of need
asking       the one way in which a sampler is asked
optimizer    the state machine with a journal and a clock
snapshot     a small picture of a running study
audit        a replay that computes every suggestion and verdict again
collector    the garbage collector, where there is nothing for it to find
"""
