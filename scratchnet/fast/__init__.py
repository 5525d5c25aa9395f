"""The same results sooner. No formula is taught here."""
