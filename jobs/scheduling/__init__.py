"""A scheduler for one machine: job files are started when they are due, and everything survives `kill -9`."""
