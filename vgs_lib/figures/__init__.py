"""What notebooks show: plots, films and tables of what the rest of the library computes."""
