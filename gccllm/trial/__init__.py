"""Trials: the program itself, run again and again with other bodies in its functions, decides which are faster."""
