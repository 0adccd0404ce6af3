"""What a service imports: standard library only, and nothing here may break or slow a load."""
