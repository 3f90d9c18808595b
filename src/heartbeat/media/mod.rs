//! UDP sockets and serial lines: bytes in and out, each medium with a state of its own.
