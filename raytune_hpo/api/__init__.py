"""What a user calls: the tuner, a running study, ask and tell, stored studies."""
