"""What policies were worth on the test split, with intervals."""
