"""Statistics of finished studies: intervals, hypothesis tests, verdicts, contraction rates, critical ratios.

Imports results and everything below; knows no plot and no page.
"""
