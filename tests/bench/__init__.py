"""Figures: what is promised in numbers, measured."""
