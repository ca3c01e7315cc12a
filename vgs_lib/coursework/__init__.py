"""The notebooks of the course: copies for students and solutions from one source, and measured runs of them."""
