"""Figures of the paper, drawn from arrays: each module composes those of one subject, `style` writes the files."""
