"""Labelled Services of real charts, and how well something that chooses among them does."""
