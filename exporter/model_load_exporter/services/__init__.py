"""Services as their clients see them: a request to the health address every few seconds, each on a new connection."""
