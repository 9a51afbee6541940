"""What others may ask of the UI, and what secrets are given away."""
