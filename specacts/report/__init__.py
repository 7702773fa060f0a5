"""What people read: the report, its figures, model cards."""
