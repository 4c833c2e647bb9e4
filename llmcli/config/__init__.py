"""Settings: declare, validate, load and change them."""
