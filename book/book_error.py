"""The one exception of the book's machinery. It has a module of its own, so that it is one class for all of it."""


class BookError(Exception):
    """What is wrong and where, in one sentence for the person at the keyboard."""
