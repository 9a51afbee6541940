"""What many workers and many runs cost: `make bench-scale`."""
