"""Settings: declared, checked, loaded."""
