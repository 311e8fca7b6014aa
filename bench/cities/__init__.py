"""Cities made up at real places: the generator, today's practice, files that others can check."""
