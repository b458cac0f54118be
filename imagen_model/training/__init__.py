"""Training on one machine: a plain loop, exact resume, nothing but torch and transformers."""
