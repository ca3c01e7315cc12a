"""What notebooks show: plots, films and tables of what the other rooms compute."""
