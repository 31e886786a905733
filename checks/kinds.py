"""Tell rows apart by what they hold: which are alike in all of some columns."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from checks.counting import Codes


def kinds_of(columns: pa.Table) -> Codes:
    """Number the different rows, (n,) from 0: column by column, so that no wide key is ever built.

    Args:
        columns: (n, k) of any types; two missing values count as the same.
    """
    import pandas as pd

    kind = np.zeros(columns.num_rows, dtype=np.int64)
    for column in columns.columns:
        values = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        codes, uniques = pd.factorize(values.to_pandas(), use_na_sentinel=False)
        # Numbered again after each column, so that the product of all their sizes cannot overflow.
        kind = pd.factorize(kind * max(1, len(uniques)) + codes)[0].astype(np.int64)
    return kind
