"""The parts of the benchmark: one module each, all with ``measure(effort) -> Section``."""
