"""The one exception that a user is meant to read."""


class NnlabError(Exception):
    """Something the user can mend: bad input, a missing file, a store that refuses.

    Its text is one clear line: what, where, which choices there are, what to do. The command line prints that line and
    nothing else; everything that is not an ``NnlabError`` is a bug of ours and keeps its traceback.

    Attributes:
        exit_code: what the command line ends with; 2 is "the input was wrong" and 1 is "it failed while running".
    """

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code
