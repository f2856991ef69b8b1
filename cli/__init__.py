"""One command, `kizashi`."""
