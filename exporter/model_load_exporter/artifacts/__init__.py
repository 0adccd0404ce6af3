"""Model files, read without loading them and without believing them: one module a format."""
