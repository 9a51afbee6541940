"""Search: trials that Optuna suggests, trained in stacks as the jobs of any sweep are, and pruned out of them."""
