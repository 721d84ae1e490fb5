"""What the commands print and write: progress, tables, figures.

Imports everything but the commands themselves, which import it when they run.
"""
