"""The benchmark of sweeps: one module a part, all with ``measure(effort) -> Section``."""
