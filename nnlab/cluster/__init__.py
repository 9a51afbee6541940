"""Cluster: a sweep's stacks as tasks of a Dask cluster, whose workers share no disk with each other or with us."""
