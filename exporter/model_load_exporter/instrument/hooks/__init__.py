"""What is hooked: one file a library. None imports its library; it is imported once the library has been."""
