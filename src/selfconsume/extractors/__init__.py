"""What examples are turned into before metrics compare them, one a file."""
