"""A table of a label as lines of text, one a row, each cell under its own column."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Columns of a row; what stands in further ones is joined to the last. The widest table seen has 9.
COLUMNS = 64
#: Rows over which one cell may reach; the tallest seen has 12.
ROWS_SPANNED = 200
#: Longest text in characters that is said again in each row that its cell reaches over: a name, not a paragraph.
REPEATED_CHARACTERS = 120


def spanned(value: str | None, most: int) -> int:
    """Return how many columns or rows a cell reaches over: 1 where it does not say a number from 1 to `most`."""
    number = int(value) if value and value.isascii() and value.isdigit() and len(value) < 5 else 1
    return number if 1 <= number <= most else 1


@dataclass
class Table:
    """Collects rows; a cell that reaches over rows stands in each of them, so that a row can be read by itself."""

    caption: str = ""
    rows: list[str] = field(default_factory=list)
    columns: int = 0
    _ruled: bool = False
    _headed: bool = False
    _cells: list[tuple[str, int, int]] = field(default_factory=list)
    _reaching: dict[int, tuple[int, str]] = field(default_factory=dict)

    def cell(self, text: str, columns: int, rows: int) -> None:
        """Add a cell to the row that is being read, with the columns and rows that it reaches over."""
        self._cells.append((text.replace("|", "\\|"), columns, rows))

    def end_row(self, heads: bool) -> int:
        """End a row and return its characters; `heads` says that it names columns."""
        row = self._placed()
        self._cells = []
        if not any(row):
            return 0
        if heads and not self._ruled:
            self._headed = True
        elif self._headed and not self._ruled:
            self.rows.append("| " + " | ".join(["---"] * self.columns) + " |")
            self._ruled = True
        self.columns = max(self.columns, len(row))
        self.rows.append("| " + " | ".join(row) + " |")
        return len(self.rows[-1]) + 1

    def text(self) -> str:
        """Return caption and rows as lines; the one column of a frame around text as paragraphs."""
        if self.columns == 1:
            inside = [row[2:-2] for row in self.rows if row != "| --- |"]
            return "\n\n".join(line for line in [self.caption, *inside] if line)
        return "\n".join(line for line in [self.caption, *self.rows] if line)

    def _placed(self) -> list[str]:
        row: list[str] = []
        for text, columns, rows in self._cells:
            self._pass_over(row)
            for column in range(columns):
                if len(row) == COLUMNS:
                    row[-1] = f"{row[-1]}; {text}" if text and column == 0 else row[-1]
                    break
                shown = text if column == 0 else ""
                if rows > 1:
                    self._reaching[len(row)] = (rows, shown if len(shown) <= REPEATED_CHARACTERS else "")
                row.append(shown)
        self._pass_over(row)
        self._reaching = {at: (rows - 1, text) for at, (rows, text) in self._reaching.items() if rows > 1}
        return row

    def _pass_over(self, row: list[str]) -> None:
        """Fill the columns that cells of rows above reach into."""
        while len(row) < COLUMNS and len(row) in self._reaching:
            row.append(self._reaching[len(row)][1])
