"""Recipes that fit generators: one file a family."""
