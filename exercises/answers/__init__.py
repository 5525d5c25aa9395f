"""For each exercise: what is right, the library's lines for it, what is wrong, what helps."""
