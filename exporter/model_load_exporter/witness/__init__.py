"""The witness: who ended a process, by what the kernel says of it. Each source of evidence is one file."""
