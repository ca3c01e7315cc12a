"""Search in sets too large to score whole, and a second look at the best that it finds."""
