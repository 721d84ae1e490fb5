"""Studies named after works of the literature: each opens with its question, its cost and what was found."""
