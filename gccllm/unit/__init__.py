"""All that is known of one translation unit before its functions are worked on."""
