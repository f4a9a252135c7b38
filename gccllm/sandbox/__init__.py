"""Running a body, confined, on recorded or generated inputs, and reporting what it did. Nothing is judged here."""
