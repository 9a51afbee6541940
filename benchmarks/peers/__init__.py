"""What is compared: one module each, all with ``prepare(task) -> Repetition``."""
