"""An endless stream of rows that are made in blocks, because one at a time is slow."""

from collections.abc import Iterator

import pandas as pd
from pandas import DataFrame


class Stream:
    """Gives out the rows of endless ``blocks`` in order, any number at a time; how many are taken at a time changes none of them."""

    def __init__(self, blocks: Iterator[DataFrame]) -> None:
        self._blocks = blocks
        self._stock = next(blocks)

    def take(self, count: int) -> DataFrame:
        """Return the next ``count`` rows."""
        parts = [self._stock]
        there = len(self._stock)
        while there < count:
            parts.append(next(self._blocks))
            there += len(parts[-1])
        stock = pd.concat(parts, ignore_index=True)
        self._stock = stock.iloc[count:]
        return stock.iloc[:count].reset_index(drop=True)
