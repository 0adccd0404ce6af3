"""What is wrong with a machine and an interpreter before a model is ever loaded on it.

interpreter    a file of the standard library that the service's Python runs: what is installed there
inspection     runs it
compatibility  what the packages ask of each other, of Python and of the driver
known_pairs    what they do not say and is known to fail, with sources
memory disk gpu limits rights evidence     the machine around it, a file each
examination    all of it, one after another
report         text, Markdown, JSON
"""
