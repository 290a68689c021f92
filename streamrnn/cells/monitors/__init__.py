"""The parts of a detector, each a cell with its segment of the row. They work on one board in turn (board.py)."""
