"""A run from its flags to its pictures: what a person at a terminal needs around the engine."""
