"""TPE and pruning against random search."""
