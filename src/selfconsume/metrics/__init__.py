"""What is measured in every generation: one file for each idea, each class one `Metric`."""
