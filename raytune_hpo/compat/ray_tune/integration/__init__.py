"""``ray.tune.integration``: callbacks for training libraries that report to the trial around them."""
