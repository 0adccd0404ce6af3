"""The instrumentation's few words to the service's log; logging itself (6 ms) is imported with the first of them."""

NAME = "model_load_exporter"


def warning(text: str, *values: object) -> None:
    """What a person should know."""
    import logging

    logging.getLogger(NAME).warning(text, *values)


def trouble(text: str, *values: object) -> None:
    """A fault of the instrumentation, told inside an `except`: its traceback, for those who debug. Never raises."""
    try:
        import logging

        logging.getLogger(NAME).debug(text, *values, exc_info=True)  # noqa: LOG014 - the caller's `except`
    except Exception:  # noqa: S110 - a service's own log handler may raise; its load must not hear of it
        pass
