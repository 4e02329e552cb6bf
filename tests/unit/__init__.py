"""Fast tests of pure parts."""
