"""One module per table or figure: what has to be generated, and how it becomes numbers."""
