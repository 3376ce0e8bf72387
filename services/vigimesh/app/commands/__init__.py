"""What a person types, a file for each group of commands; only the command line imports them."""
