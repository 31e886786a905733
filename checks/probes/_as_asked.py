"""Put rows of another table into the form in which the model is asked about the evaluation data."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def as_asked(features: pa.Table, like: pa.Table) -> tuple[pa.Table, NDArray[np.int64]]:
    """Give rows the columns and types of the evaluation data.

    A row that cannot be written so, or that the model could never be asked by these data, is left out: with a category
    that the data do not hold, a value missing in a column in which none of theirs is, or a fraction in a column of
    whole numbers.

    Args:
        features: (m, f) columns by name.
        like: (n, f) features of the evaluation data.

    Returns:
        The rows that are left, and their positions in `features`.
    """
    kept = np.ones(features.num_rows, dtype=bool)
    made = {}
    for name in like.column_names:
        theirs, known = features.column(name).combine_chunks(), like.column(name)
        if isinstance(theirs, pa.ChunkedArray):
            theirs = pa.concat_arrays(theirs.chunks) if theirs.num_chunks else pa.array([], theirs.type)
        if pa.types.is_dictionary(theirs.type):
            theirs = theirs.cast(theirs.type.value_type)
        missing = np.asarray(theirs.is_null())
        if known.null_count == 0:
            kept &= ~missing
        if pa.types.is_dictionary(known.type):
            values = known.chunk(0).dictionary if known.num_chunks else pa.array([], known.type.value_type)
            code = pc.index_in(theirs, value_set=values)
            kept &= np.asarray(code.is_valid()) | missing
            made[name] = pa.DictionaryArray.from_arrays(code, values)
        elif pa.types.is_integer(known.type) and pa.types.is_floating(theirs.type):
            numbers = np.nan_to_num(theirs.to_numpy(zero_copy_only=False))
            kept &= numbers == np.round(numbers)
            made[name] = pa.array(np.where(missing, 0, np.round(numbers)).astype(np.int64), mask=missing)
        else:
            made[name] = theirs.cast(known.type)
    rows = np.flatnonzero(kept)
    return pa.table(made, schema=like.schema).take(pa.array(rows)), rows
