"""The transmission operator's own controllers, alike in every pairing."""
