"""The tests of one function, its candidates and what is remembered of them."""
