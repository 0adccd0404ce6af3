"""The dashboard's rows, top to bottom; one module is one row and has `panels()`."""
