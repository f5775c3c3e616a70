"""The results that a report is made of, read and checked."""
