// The other way through dense layers: from gradients of the last layer's rows to those of `x`, and of each layer's
// weights and biases, with x the rows that a layer is given and g the gradients of its `x w + b`:
//
//     of x: g w^T    of w: x^T g    of b: the sum of the rows of g

// Adds x^T g of some rows.
template <long rows, long inputs, long columns>
FUNCTION void add_to_weights(const real *x, long row, long entry, const real *gradients, real *sums) {
  const long each = W / PARTS;
  for (long column = 0; column < columns; column += W) {
    Numbers gradient[rows][PARTS];
    for (long r = 0; r < rows; r++)
      for (long p = 0; p < PARTS; p++) gradient[r][p] = numbers_at(gradients + r * padded(columns) + column + p * each);
    for (long k = 0; k < inputs; k++) {
      real *place = sums + k * padded(columns) + column;
      Numbers sum[PARTS];
      for (long p = 0; p < PARTS; p++) sum[p] = numbers_at(place + p * each);
      for (long r = 0; r < rows; r++)
        for (long p = 0; p < PARTS; p++) sum[p] += x[r * row + k * entry] * gradient[r][p];
      memcpy(place, sum, sizeof sum);
    }
  }
}

// Adds the rows of g.
template <long rows, long columns> FUNCTION void add_to_bias(const real *gradients, real *sums) {
  for (long column = 0; column < columns; column += W) {
    V sum = block_at(sums + column);
    for (long r = 0; r < rows; r++) sum = sum + block_at(gradients + r * padded(columns) + column);
    put(sums + column, sum);
  }
}

// Some rows of gradients, wherever they lie, times slopes, where there are any; zero behind the last column.
template <long rows, long columns>
FUNCTION void from_rows(const real *x, long row, long entry, const real *slopes, long slope_row, real *out) {
  for (long r = 0; r < rows; r++)
    for (long column = 0; column < padded(columns); column++)
      out[r * padded(columns) + column] =
          column < columns ? x[r * row + column * entry] * (slopes ? slopes[r * slope_row + column] : real(1)) : real(0);
}

FUNCTION long threads() {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

// All rows, through `work`, which adds to `sums`, of which there are `size`; every thread has its own until the end.
template <class Work> FUNCTION void sum_over_rows(long count, long cost, long size, real *sums, Work work) {
  const long parts = count * cost > WORTH_A_THREAD ? threads() : 1, whole = count / ROWS;
  real *others = parts > 1 ? (real *)aligned_alloc(64, (parts - 1) * size * sizeof(real)) : nullptr;
#pragma omp parallel for if (parts > 1) schedule(static)
  for (long part = 0; part < parts; part++) {
    real *own = part ? others + (part - 1) * size : sums;
    memset(own, 0, size * sizeof(real));
    for (long block = whole * part / parts; block < whole * (part + 1) / parts; block++)
      work.template rows<ROWS>(block * ROWS, own);
    if (part == parts - 1)
      for (long row = whole * ROWS; row < count; row++) work.template rows<1>(row, own);
  }
  for (long place = 0; place < (parts - 1) * size; place++) sums[place % size] += others[place];
  free(others);
}
